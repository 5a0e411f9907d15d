//! Training on the portable loops has the recorded bits here; `page/test` holds that it has them in the page too.

use elman_kernels::Isa;
use elman_wasm::Training;
use serde_json::Value;

#[test]
fn weights_after_200_updates_are_those_that_the_page_has() {
    let recorded: Value = serde_json::from_str(include_str!("../../../page/test/fingerprint.json")).unwrap();
    Isa::PLAIN.choose();
    let text = recorded["line"].as_str().unwrap().repeat(recorded["repeats"].as_u64().unwrap() as usize);
    let mut training = Training::begin(&text, &recorded["options"].to_string()).unwrap();
    for _ in 0..recorded["updates"].as_u64().unwrap() {
        training.step().unwrap();
    }
    assert_eq!(u64::from(training.fingerprint()), recorded["fingerprint"].as_u64().unwrap());
}
