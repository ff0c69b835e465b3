//! The kills of the operator, and the one of the API server, at moments that the dice give.

use std::time::Duration;

use anyhow::ensure;
use harness::{ControlPlane, Operator};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dice::Dice;
use crate::figures::Outage;

/// At most, before the operator is started again.
const OPERATOR_AWAY: Duration = Duration::from_secs(2);

/// How long, and how often the operator is killed meanwhile.
pub(crate) struct Storm {
    pub(crate) lasts: Duration,
    pub(crate) kills: u32,
}

impl Storm {
    /// Plays it, and says when the API server was away.
    ///
    /// # Errors
    /// If the operator ends by itself, or something cannot be started again.
    pub(crate) async fn rage(
        &self,
        plane: &mut ControlPlane,
        operator: &mut Operator,
        dice: &mut Dice,
    ) -> anyhow::Result<Outage> {
        let (began, mut of_operator, mut of_api_server) = (Instant::now(), dice.split(), dice.split());
        let (killed, outage) = tokio::join!(
            self.kill_operator(operator, began, &mut of_operator),
            self.kill_api_server(plane, began, &mut of_api_server),
        );
        killed?;
        sleep_until(began + self.lasts).await;
        outage
    }

    /// Each kill at a moment of its own part of the time.
    async fn kill_operator(&self, operator: &mut Operator, began: Instant, dice: &mut Dice) -> anyhow::Result<()> {
        let part = self.lasts / self.kills.max(1);
        for number in 0..self.kills {
            sleep_until(began + part * number + dice.shorter_than(part)).await;
            ensure!(operator.process().status()?.is_none(), "the operator ended by itself:\n{}", operator.log());
            operator.kill9();
            println!("operator killed after {:.1?}", began.elapsed());
            sleep(dice.shorter_than(OPERATOR_AWAY)).await;
            operator.restart()?;
        }
        Ok(())
    }

    /// Once, in the second quarter of the time; it is started again at once.
    async fn kill_api_server(
        &self,
        plane: &mut ControlPlane,
        began: Instant,
        dice: &mut Dice,
    ) -> anyhow::Result<Outage> {
        sleep_until(began + self.lasts / 4 + dice.shorter_than(self.lasts / 4)).await;
        let from = Timestamp::now();
        plane.stop_apiserver();
        println!("API server killed after {:.1?}", began.elapsed());
        plane.start_apiserver().await?;
        Ok(Outage { from, until: Timestamp::now() })
    }
}
