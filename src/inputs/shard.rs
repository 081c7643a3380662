//! One task of many: which inputs are its own.
//!
//! An input belongs to the shard that its id's digest says, so tasks agree without talking, whatever order a listing has.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Shard `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// At least 1.
    pub count: usize,
}

impl Shard {
    fn new(index: usize, count: usize) -> Result<Self, String> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(format!("there is no shard {index} of {count}: they count from 0 to {}", count.max(1) - 1))
        }
    }

    /// Whether the input of this id is its own: the first eight bytes of the id's SHA-256, little-endian, modulo the count.
    pub fn holds(&self, id: &str) -> bool {
        let digest = Sha256::digest(id);
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(first) % self.count as u64 == self.index as u64
    }

    /// Its folder in that of the run.
    pub fn folder(&self, run: &Path) -> PathBuf {
        run.join(format!("shard-{:05}-of-{:05}", self.index, self.count))
    }

    /// The shard that the cluster's environment names: Slurm's array, Slurm's tasks, Kubernetes' indexed job with
    /// `LIFT_SHARDS`, or `RANK` and `WORLD_SIZE`.
    ///
    /// A source that counts one task divides nothing and gives way to the others: `torchrun` under Slurm runs in a single
    /// Slurm task.
    ///
    /// # Errors
    /// If no source is set, one is no number, or two of them name different shards.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| -> Result<usize, String> {
            let text = variable(name).ok_or_else(|| format!("--shard auto: {name} is not set"))?;
            text.trim().parse().map_err(|_| format!("--shard auto: {name} is '{text}', not a number"))
        };
        let array = || -> Result<Self, String> {
            let (id, first) = (number("SLURM_ARRAY_TASK_ID")?, number("SLURM_ARRAY_TASK_MIN")?);
            let step =
                variable("SLURM_ARRAY_TASK_STEP").map_or(Ok(1), |_| number("SLURM_ARRAY_TASK_STEP"))?;
            let past = id.checked_sub(first).filter(|past| step > 0 && past % step == 0);
            let index = past.ok_or_else(|| {
                format!("--shard auto: SLURM_ARRAY_TASK_ID {id} is no task of an array from {first} in steps of {step}")
            })?;
            Self::new(index / step, number("SLURM_ARRAY_TASK_COUNT")?)
        };
        let mut named = Vec::new();
        for (index, count) in [
            ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
            ("SLURM_PROCID", "SLURM_NTASKS"),
            ("JOB_COMPLETION_INDEX", "LIFT_SHARDS"),
            ("RANK", "WORLD_SIZE"),
        ] {
            if variable(index).is_some() {
                let shard = match index {
                    "SLURM_ARRAY_TASK_ID" => array(),
                    // An indexed job has an index also where another source divides the work.
                    "JOB_COMPLETION_INDEX" if variable(count).is_none() && variable("RANK").is_some() => {
                        continue;
                    }
                    _ => number(index).and_then(|at| Self::new(at, number(count)?)),
                };
                named.push((format!("{index} and {count}"), shard?));
            }
        }
        let dividing: Vec<_> = named.iter().filter(|(_, shard)| shard.count > 1).collect();
        if let [(first, one), rest @ ..] = &dividing[..]
            && let Some((second, other)) = rest.iter().find(|(_, shard)| shard != one)
        {
            return Err(format!(
                "--shard auto: {first} name shard {}/{}, {second} name shard {}/{}; unset one pair, or give --shard I/N",
                one.index, one.count, other.index, other.count
            ));
        }
        let chosen = dividing.first().copied().or(named.first()).map(|(_, shard)| *shard);
        chosen.ok_or_else(|| {
            "--shard auto: the environment has no SLURM_ARRAY_TASK_ID, SLURM_PROCID, JOB_COMPLETION_INDEX (with \
             LIFT_SHARDS) or RANK; give --shard I/N"
                .into()
        })
    }
}

impl FromStr for Shard {
    type Err = String;

    /// Reads `I/N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) =
            numbers.ok_or_else(|| format!("'{text}' is no shard; give I/N, such as 3/16"))?;
        Self::new(index, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_one_shard_and_keeps_it() {
        let shards: Vec<Shard> = (0..16).map(|i| Shard::new(i, 16).unwrap()).collect();
        let mut sizes = [0; 16];
        for id in (0..4000).map(|i| format!("clip {i}")) {
            let own: Vec<_> = shards.iter().filter(|s| s.holds(&id)).map(|s| s.index).collect();
            assert_eq!(own.len(), 1, "{id}");
            sizes[own[0]] += 1;
        }
        assert!(sizes.iter().all(|n| (180..320).contains(n)), "{sizes:?}");
        // Known values: nodes with builds of different days must agree.
        let place = |id: &str| shards.iter().position(|s| s.holds(id));
        assert_eq!([place("a"), place("76198"), place("")], [Some(10), Some(7), Some(3)]);
    }

    #[test]
    fn shards_count_from_zero() {
        assert_eq!("3/16".parse(), Ok(Shard { index: 3, count: 16 }));
        assert_eq!(Shard { index: 3, count: 16 }.folder(Path::new("o")), Path::new("o/shard-00003-of-00016"));
        for text in ["16/16", "0/0", "a/2", "1", "-1/2", "auto"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    fn auto(set: &[(&str, &str)]) -> Result<Shard, String> {
        let set: std::collections::HashMap<_, _> = set.iter().copied().collect();
        Shard::from_environment(|name| set.get(name).map(ToString::to_string))
    }

    const ARRAY: [(&str, &str); 3] =
        [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_MIN", "5"), ("SLURM_ARRAY_TASK_COUNT", "4")];
    const RANK: [(&str, &str); 2] = [("RANK", "1"), ("WORLD_SIZE", "2")];
    const KUBERNETES: [(&str, &str); 2] = [("JOB_COMPLETION_INDEX", "3"), ("LIFT_SHARDS", "8")];

    #[test]
    fn the_environment_names_the_shard() {
        let one_task = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1")];
        assert_eq!(auto(&[&ARRAY[..], &one_task].concat()), Ok(Shard { index: 2, count: 4 }));
        assert_eq!(auto(&one_task), Ok(Shard { index: 0, count: 1 }));
        assert_eq!(auto(&RANK), Ok(Shard { index: 1, count: 2 }));
        assert_eq!(auto(&KUBERNETES), Ok(Shard { index: 3, count: 8 }));
        assert!(auto(&KUBERNETES[..1]).unwrap_err().contains("LIFT_SHARDS is not set"));
        assert!(auto(&[]).unwrap_err().contains("--shard I/N"));
        assert!(auto(&[("RANK", "x"), ("WORLD_SIZE", "2")]).unwrap_err().contains("'x'"));
    }

    #[test]
    fn torchrun_in_one_slurm_task_is_divided_by_its_ranks() {
        for rank in 0..4 {
            let text = rank.to_string();
            let set = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "1"), ("RANK", &text), ("WORLD_SIZE", "4")];
            assert_eq!(auto(&set), Ok(Shard { index: rank, count: 4 }));
        }
        let slurm = [("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2")];
        assert_eq!(auto(&[slurm, RANK].concat()), Ok(Shard { index: 1, count: 2 }), "both name one shard");
        assert_eq!(auto(&[&KUBERNETES[..1], &RANK].concat()), Ok(Shard { index: 1, count: 2 }));
    }

    #[test]
    fn an_array_counts_by_its_step() {
        for (id, index) in [("0", 0), ("2", 1), ("4", 2), ("6", 3)] {
            let mut set = vec![("SLURM_ARRAY_TASK_ID", id), ("SLURM_ARRAY_TASK_MIN", "0")];
            set.extend([("SLURM_ARRAY_TASK_STEP", "2"), ("SLURM_ARRAY_TASK_COUNT", "4")]);
            assert_eq!(auto(&set), Ok(Shard { index, count: 4 }));
        }
        let mut set = vec![("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_MIN", "0")];
        set.extend([("SLURM_ARRAY_TASK_STEP", "2"), ("SLURM_ARRAY_TASK_COUNT", "4")]);
        assert!(auto(&set).unwrap_err().contains("SLURM_ARRAY_TASK_ID 3"));
    }

    #[test]
    fn sources_that_contradict_each_other_are_refused_by_name() {
        let error = auto(&[&ARRAY[..], &RANK].concat()).unwrap_err();
        for piece in ["SLURM_ARRAY_TASK_ID", "2/4", "RANK", "1/2"] {
            assert!(error.contains(piece), "{piece} in {error}");
        }
    }
}
