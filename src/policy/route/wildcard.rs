//! Wildcard matching in constant memory: the one loop behind globs, captures and `covers`.
//!
//! A pattern is a row of *places*, each a star (any number of items, also none) or something that
//! fits exactly one item. The loop lets every star take as few items as it can and, if the rest
//! does not fit, gives one more item to the **last** star alone. That is enough: the part before
//! that star already fits as far left as possible, which leaves the most room for the part after
//! it. So the alignment that it finds is the leftmost-shortest one.

/// Whether `places` in a row fit all of `items`; stars are where `star(place)` holds.
///
/// `fits(place, item)` is asked about places that are not stars. On success its last `true` for a
/// place is that place's item in the leftmost-shortest alignment.
/// Asks at most `places * (items + 1)` times, and never allocates.
pub(super) fn wildcard(
    places: usize,
    items: usize,
    star: impl Fn(usize) -> bool,
    mut fits: impl FnMut(usize, usize) -> bool,
) -> bool {
    let (mut place, mut item) = (0_usize, 0_usize);
    // The place after the last star, and the first item that this star has not taken.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if place < places && star(place) {
            place = place.saturating_add(1);
            retry = Some((place, item));
        } else if place < places && item < items && fits(place, item) {
            place = place.saturating_add(1);
            item = item.saturating_add(1);
        } else if item >= items {
            // If places are left, a later start would only leave them fewer items.
            return place >= places;
        } else if let Some((after_star, untaken)) = retry {
            place = after_star;
            item = untaken.saturating_add(1);
            retry = Some((place, item));
        } else {
            return false;
        }
    }
}

/// Whether a glob, in which every `*` matches any bytes, matches all of `text`.
///
/// No byte of a glob but `*` fits a `*` in `text`, so with a glob for `text` this is whether every
/// segment that fits `text` fits `glob` too.
pub(super) fn glob_fits(glob: &[u8], text: &[u8]) -> bool {
    let star = |place| glob.get(place) == Some(&b'*');
    wildcard(glob.len(), text.len(), star, |place, item| {
        glob.get(place) == text.get(item)
    })
}

/// Whether some text fits both globs, each with at least one `*`: if they begin and end alike, the
/// parts between their stars find room one after the other.
pub(super) fn globs_meet(one: &str, other: &str) -> bool {
    let ends = |glob| {
        [str::split(glob, '*').next(), str::rsplit(glob, '*').next()].map(Option::unwrap_or_default)
    };
    let ([begin, end], [begin_other, end_other]) = (ends(one), ends(other));
    (begin.starts_with(begin_other) || begin_other.starts_with(begin))
        && (end.ends_with(end_other) || end_other.ends_with(end))
}
