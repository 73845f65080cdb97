//! A listener on the loopback interface, at which operators ask about one caller.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Address, FilterSource, ListenerNeeds, audited_by, decisions};
use crate::cli::yaml::{indented, quoted};
use crate::request::operator::PATH;

impl Address {
    /// As [`Address::parse_ip`], but the address must be of the loopback interface.
    pub(in crate::cli) fn parse_loopback(text: &str) -> Result<Self, String> {
        let address = Self::parse_ip(text)?;
        match address.host.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => Ok(address),
            Ok(_) | Err(_) => Err(format!(
                "\"{}\" is not an address of the loopback interface (127.0.0.1 or ::1): all that \
                 reach this listener can reset limits",
                address.host
            )),
        }
    }
}

/// The listener, as lines of a map without indentation.
pub(in crate::cli) fn listener(
    listen: &Address,
    filter: &FilterSource<'_>,
    needs: &ListenerNeeds<'_>,
) -> String {
    let port = listen.port;
    let names = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}"));
    let names: BTreeSet<String> = names.into_iter().chain([listen.authority()]).collect();
    let domains: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!(
        include_str!("operator.yaml.in"),
        listen = listen,
        listen_text = listen.authority(),
        domains = domains.join(", "),
        path = PATH,
        decision = decisions(needs.log),
        audit = audited_by(needs),
        filter_name = filter.name(),
        filter = indented(&filter.http_filter(), 12),
    )
}
