//! The series of each token: made when a page is, so that between two pages a token takes the room of what is said.

use super::tokens::Said;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::HashMap;
use std::fmt::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use syniverse_token_core::queue::ObjectName;

/// What is said of each token that has a series.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<Mutex<HashMap<ObjectName, Said>>>);

impl Shown {
    /// What is said of each; a panic elsewhere leaves it whole.
    pub(super) fn tokens(&self) -> MutexGuard<'_, HashMap<ObjectName, Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encode<V>(&self, encoder: &mut MetricEncoder<'_>, value: impl Fn(&Said) -> Option<V>) -> Result
    where
        ConstGauge<V>: EncodeMetric,
    {
        let tokens = self.tokens();
        let series = tokens.iter().filter_map(|(name, said)| Some((name, value(said)?)));
        for (name, value) in series {
            let labels = [("namespace", name.namespace()), ("name", name.name())];
            ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The reason of each token whose reason is failing or stalled.
#[derive(Clone, Debug)]
pub(super) struct FailingSeries(pub(super) Shown);

impl EncodeMetric for FailingSeries {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result {
        let tokens = self.0.tokens();
        for (name, reason) in tokens.iter().filter_map(|(name, said)| Some((name, said.failing?))) {
            let labels = [("namespace", name.namespace()), ("name", name.name()), ("reason", reason.as_str())];
            ConstGauge::new(1_i64).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Whether each token is ready.
#[derive(Clone, Debug)]
pub(super) struct ReadySeries(pub(super) Shown);

impl EncodeMetric for ReadySeries {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result {
        self.0.encode(&mut encoder, |said| said.is_ready.map(i64::from))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Whether the standby of each token is able to take over, where there is one.
#[derive(Clone, Debug)]
pub(super) struct StandbySeries(pub(super) Shown);

impl EncodeMetric for StandbySeries {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result {
        self.0.encode(&mut encoder, |said| said.is_standby_ready.map(i64::from))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// When each token expires that ever does, Unix time.
#[derive(Clone, Debug)]
pub(super) struct ExpirationSeries(pub(super) Shown);

impl EncodeMetric for ExpirationSeries {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result {
        self.0.encode(&mut encoder, |said| said.expires.map(|time| time as f64))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
