//! Which selectors to look at for a request, so that what a request costs does not grow with the
//! policy: by route, else by tier, else always.

use super::route::RouteId;
use super::select::Selector;

/// The numbers of a list of selectors, by what selects.
#[derive(Debug, Default)]
pub struct Candidates {
    everywhere: Vec<u32>,
    by_tier: Vec<Vec<u32>>,
    by_route: Vec<Vec<u32>>,
}

impl Candidates {
    pub(super) fn of<'s>(selectors: impl Iterator<Item = &'s Selector>, tiers: usize, routes: usize) -> Self {
        let mut candidates =
            Self { everywhere: Vec::new(), by_tier: vec![Vec::new(); tiers], by_route: vec![Vec::new(); routes] };
        for (number, selector) in (0_u32..).zip(selectors) {
            // A route says more than a tier: most requests match few routes.
            match (&selector.routes, &selector.tiers) {
                (Some(ids), _) => put(&mut candidates.by_route, ids.iter().map(|id| id.index()), number),
                (None, Some(tiers)) => put(&mut candidates.by_tier, tiers.iter().copied(), number),
                (None, None) => candidates.everywhere.push(number),
            }
        }
        candidates
    }

    /// Fills `found` with the numbers of the selectors that the tier and the routes leave possible,
    /// in the order of the document, each once.
    pub fn find(&self, tier: Option<usize>, routes: &[RouteId], found: &mut Vec<usize>) {
        found.clear();
        let of_tier = tier.and_then(|tier| self.by_tier.get(tier));
        let of_routes = routes.iter().filter_map(|route| self.by_route.get(route.index()));
        let all = std::iter::once(&self.everywhere).chain(of_tier).chain(of_routes).flatten();
        found.extend(all.filter_map(|number| usize::try_from(*number).ok()));
        found.sort_unstable();
        found.dedup();
    }
}

fn put(lists: &mut [Vec<u32>], places: impl Iterator<Item = usize>, number: u32) {
    for place in places {
        lists.get_mut(place).into_iter().for_each(|list| list.push(number));
    }
}
