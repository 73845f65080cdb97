//! The counters of Envoy that usage can be added to.

use super::series::Series;
use crate::policy::usage::Usage;

/// The labels of all series, for the rules of the bootstrap.
pub const LABELS: [&str; 5] = [
    "limit_name",
    "limit_count",
    "limit_period",
    "rate_limit_status",
    "otel_metric_overflow",
];

/// The name of the counter of a series, its labels included, under the policy called `policy`.
#[must_use]
pub fn counter(series: &Series<'_>, policy: &str) -> String {
    let mut name = String::new();
    let texts = series.texts();
    let texts = texts.iter().map(|(tag, value)| (*tag, &**value));
    for (tag, value) in [("policy", policy)].into_iter().chain(texts) {
        name.push_str(&plain(tag));
        name.push_str("=.=");
        // These would end the value.
        let is_mark = |letter: char| matches!(letter, ';' | '=') || letter.is_control();
        name.push_str(&value.replace(is_mark, "_"));
        name.push_str(";.;");
    }
    name.push_str(&plain(series.metric));
    name.push_str("_total");
    name
}

/// The labels of the policy's own tags.
pub fn own_labels(usage: &Usage) -> impl Iterator<Item = String> {
    usage.tags.iter().map(|(tag, _)| plain(tag))
}

/// A name of letters, digits and `_`.
fn plain(name: &str) -> String {
    name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::series::{Status, Tags};

    #[test]
    fn a_value_cannot_end_its_label() {
        let own = vec![("user.id", "x;.;y=.=z;.;\nü")];
        let tags = Tags::Caller {
            count: 10,
            period: 60,
            own,
        };
        let series = Series {
            metric: "api.usage/per-org",
            limit: "all",
            status: Status::Blocked,
            tags,
        };
        assert_eq!(
            counter(&series, "shop"),
            "policy=.=shop;.;limit_name=.=all;.;limit_count=.=10;.;limit_period=.=60;.;\
             rate_limit_status=.=blocked;.;user_id=.=x_._y_._z_.__ü;.;api_usage_per_org_total"
        );
        assert_eq!(
            counter(&series.overflow(), "shop"),
            "policy=.=shop;.;limit_name=.=all;.;rate_limit_status=.=blocked;.;\
             otel_metric_overflow=.=true;.;api_usage_per_org_total"
        );
    }
}
