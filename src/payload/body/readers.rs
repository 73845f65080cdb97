//! Reads a body after its content encodings were decoded.

use std::sync::Arc;

use super::{Reason, Rejection, Requirements};
use crate::payload::json::{self, JsonRules};
use crate::payload::lines::Lines;

/// The work of a byte for a JSON meter, and for the line counter.
const JSON_BYTE: u64 = 12;
const LINES_BYTE: u64 = 2;

/// The readers that the policy requires.
#[derive(Default)]
pub(super) struct Readers {
    json: Option<json::Meter>,
    lines: Option<Lines>,
    items: Vec<json::Meter>,
}

impl Readers {
    /// The `seed` is a secret.
    pub(super) fn new(requirements: &Requirements, seed: u64) -> Self {
        let meter = |rules| json::Meter::new(rules, seed);
        let items = requirements
            .items
            .iter()
            .map(|at| Arc::new(JsonRules::only_items(at.clone())));
        Self {
            json: requirements.json.clone().map(meter),
            lines: requirements.lines.then(Lines::default),
            items: items.map(meter).collect(),
        }
    }

    /// The work that the readers do for each byte.
    pub(super) fn byte_units(&self) -> u64 {
        let of_lines = if self.lines.is_some() { LINES_BYTE } else { 0 };
        let meters = self
            .items
            .len()
            .saturating_add(usize::from(self.json.is_some()));
        (meters as u64)
            .saturating_mul(JSON_BYTE)
            .saturating_add(of_lines)
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Rejection> {
        if let Some(meter) = &mut self.json {
            meter.feed(bytes).map_err(rejection)?;
        }
        if let Some(lines) = &mut self.lines {
            lines.feed(bytes);
        }
        for meter in &mut self.items {
            // If a body is not JSON, the items before the error count.
            let _ = meter.feed(bytes);
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), Rejection> {
        match &mut self.json {
            Some(meter) => meter.finish().map(|_| ()).map_err(rejection),
            None => Ok(()),
        }
    }

    pub(super) fn measured(&self) -> (Option<u64>, Vec<Option<u64>>) {
        (
            self.lines.map(|lines| lines.count()),
            self.items.iter().map(json::Meter::items).collect(),
        )
    }

    /// The memory that they hold, in bytes.
    pub(super) fn memory(&self) -> usize {
        let meters = self.json.iter().chain(&self.items);
        meters
            .map(|meter| meter.memory().saturating_add(size_of::<json::Meter>()))
            .fold(0, usize::saturating_add)
    }
}

fn rejection(breach: json::Breach) -> Rejection {
    Rejection {
        reason: Reason::of_json(breach),
        max: breach.limit(),
    }
}
