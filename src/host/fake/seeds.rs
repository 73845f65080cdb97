//! Seeds: each is one run of a simulation, and the same seed is the same run.

/// Repeats the run of one seed: `SEED=123 make unit`.
const VARIABLE: &str = "SEED";

/// The number of games of a simulation: the variable `GAMES`, as `make soak` sets it, or `usual`.
pub(crate) fn games(usual: u64) -> u64 {
    std::env::var("GAMES").map_or(usual, |games| {
        games
            .parse()
            .unwrap_or_else(|_| panic!("GAMES is not a number: {games}"))
    })
}

/// Runs every seed of `usual`, or only the one that the variable `SEED` names. Returns whether it
/// was all of them. A run that panics prints how to repeat it.
pub(crate) fn for_each_seed(
    usual: impl IntoIterator<Item = u64>,
    mut run: impl FnMut(u64),
) -> bool {
    let single = std::env::var(VARIABLE).ok();
    let single = single.map(|seed| {
        seed.parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} is not a number: {seed}"))
    });
    let is_all = single.is_none();
    let seeds: Vec<u64> = single.map_or_else(|| usual.into_iter().collect(), |seed| vec![seed]);
    for seed in seeds {
        let repeat = Repeat(seed);
        run(seed);
        std::mem::forget(repeat);
    }
    is_all
}

/// Prints how to repeat a run, unless the run ends as it should.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        eprintln!("\nto repeat this run alone: {}\n", command(self.0));
    }
}

fn command(seed: u64) -> String {
    let thread = std::thread::current();
    let all = format!("{VARIABLE}={seed} make unit");
    // Only a separate thread has the name of its test.
    match thread.name().filter(|name| name.contains("::")) {
        Some(test) => format!("{all}, or {VARIABLE}={seed} cargo test --locked --lib {test}"),
        None => all,
    }
}

#[test]
fn a_run_that_fails_names_its_seed_and_its_test() {
    let test = "host::fake::seeds::a_run_that_fails_names_its_seed_and_its_test";
    let thread = std::thread::Builder::new().name(test.to_owned());
    let named = thread.spawn(|| command(7)).unwrap().join().unwrap();
    assert_eq!(
        named,
        format!("SEED=7 make unit, or SEED=7 cargo test --locked --lib {test}")
    );
    let main = std::thread::Builder::new().name("main".to_owned());
    assert_eq!(
        main.spawn(|| command(7)).unwrap().join().unwrap(),
        "SEED=7 make unit"
    );
}
