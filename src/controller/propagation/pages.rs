//! Lists objects page by page, and holds no more of them than a page.

use super::{Courier, Problem};
use crate::client::connection::DocumentTooLarge;
use crate::client::error::{describe, is_refused_as_it_stands};
use k8s_openapi::NamespaceResourceScope;
use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use syniverse_token_core::propagation::{Delivery, denied, right_missing};
use syniverse_token_core::queue::ObjectName;

/// Objects in a page.
const PAGE: u32 = 250;

/// A kind of object that is listed or written, and the value of the chart that grants it.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub(super) resource: &'static str,
    pub(super) chart_value: &'static str,
}

impl Right {
    /// What a failed request with this verb means.
    pub(super) fn problem(self, verb: &str, error: &kube::Error) -> Problem {
        let is_forbidden = matches!(error, kube::Error::Api(status) if status.is_forbidden());
        match () {
            () if is_refused_as_it_stands(error) => Problem::Refused(denied(verb, self.resource, &describe(error))),
            () if is_forbidden => {
                Problem::Refused(right_missing(verb, self.resource, self.chart_value, &describe(error)))
            }
            () => Problem::Failed,
        }
    }
}

impl Courier {
    /// Has each object of a namespace looked at. A page that is too large is asked for again in halves.
    ///
    /// # Errors
    /// When the API server does not give one, or the delivery is not wanted any more.
    pub(super) async fn look_at_all<K>(
        &self,
        name: &ObjectName,
        delivery: &Arc<Delivery>,
        (right, wanted): (Right, ListParams),
        mut look: impl FnMut(K),
    ) -> Result<(), Problem>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), name.namespace());
        let (mut page, mut next) = (PAGE, None::<String>);
        loop {
            // A few pages at a time in all, as each may be as large as a response may be.
            let held = self.pages.acquire().await.map_err(|_| Problem::Unwanted)?;
            self.wanted(name, delivery)?;
            let list = ListParams { continue_token: next.clone(), ..wanted.clone().limit(page) };
            let listed = match api.list(&list).await {
                Err(error) if page > 1 && is_too_large(&error) => {
                    page /= 2;
                    continue;
                }
                listed => listed.map_err(|error| right.problem("list", &error))?,
            };
            listed.items.into_iter().for_each(&mut look);
            drop(held);
            next = listed.metadata.continue_.filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(());
            }
        }
    }
}

fn is_too_large(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(error) if error.is::<DocumentTooLarge>())
}
