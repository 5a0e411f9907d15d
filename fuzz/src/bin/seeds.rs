//! Writes the inputs that each target begins with into `work/TARGET`, where libFuzzer reads them.

fn main() -> std::io::Result<()> {
    for target in elman_fuzz::TARGETS {
        let folder = std::path::Path::new("work").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (i, seed) in (target.seeds)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed)?;
        }
    }
    Ok(())
}
