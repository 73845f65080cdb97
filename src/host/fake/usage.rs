//! A receiver of usage, and the steps of another worker in between.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::{FakeCall, FakeProxy};
use crate::base::time::Span;
use crate::host::stream::{CallToken, UsageCalls, UsageToken, Way};

/// Something that happens once.
#[derive(Clone, Default)]
pub(crate) struct Meanwhile(Rc<RefCell<Option<Once>>>);

type Once = Box<dyn FnOnce()>;

impl Meanwhile {
    pub(crate) fn set(&self, what: impl FnOnce() + 'static) {
        self.0.replace(Some(Box::new(what)));
    }

    pub(crate) fn clear(&self) {
        self.0.take();
    }

    pub(super) fn happen(&self) {
        let what = self.0.take();
        if let Some(what) = what {
            what();
        }
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl<V> UsageCalls for FakeProxy<V> {
    fn call_out(
        &self,
        _: u32,
        cluster: &str,
        way: Way,
        body: &[u8],
        _: Span,
    ) -> Option<UsageToken> {
        if self.lacks_cluster.get() {
            return None;
        }
        let mut calls = self.usage_calls.borrow_mut();
        let call = FakeCall {
            cluster: cluster.to_owned(),
            body: body.to_vec(),
        };
        calls.push((way, call));
        let token = CallToken(u32::try_from(calls.len()).ok()?);
        Some(match way {
            Way::Post(..) => UsageToken::Http(token),
            Way::Service(..) => UsageToken::Grpc(token),
        })
    }
}
