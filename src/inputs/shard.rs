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

    /// The shard that the cluster's environment says: Slurm's array, Slurm's tasks, Kubernetes' indexed job with
    /// `LIFT_SHARDS`, or `RANK` and `WORLD_SIZE`, the first that is there.
    ///
    /// # Errors
    /// If none is there, or one is no number.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str| -> Result<usize, String> {
            let text = variable(name).ok_or_else(|| format!("--shard auto: {name} is not set"))?;
            text.trim().parse().map_err(|_| format!("--shard auto: {name} is '{text}', not a number"))
        };
        if variable("SLURM_ARRAY_TASK_ID").is_some() {
            let (id, first) = (number("SLURM_ARRAY_TASK_ID")?, number("SLURM_ARRAY_TASK_MIN")?);
            let index = id.checked_sub(first).ok_or("--shard auto: the array task comes before the first")?;
            return Self::new(index, number("SLURM_ARRAY_TASK_COUNT")?);
        }
        for (index, count) in [
            ("SLURM_PROCID", "SLURM_NTASKS"),
            ("JOB_COMPLETION_INDEX", "LIFT_SHARDS"),
            ("RANK", "WORLD_SIZE"),
        ] {
            if variable(index).is_some() {
                return Self::new(number(index)?, number(count)?);
            }
        }
        Err("--shard auto: the environment has no SLURM_ARRAY_TASK_ID, SLURM_PROCID, JOB_COMPLETION_INDEX (with \
             LIFT_SHARDS) or RANK; give --shard I/N"
            .into())
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

    #[test]
    fn the_environment_is_asked_in_a_fixed_order() {
        let auto = |set: &[(&str, &str)]| {
            let set: std::collections::HashMap<_, _> = set.iter().copied().collect();
            Shard::from_environment(|name| set.get(name).map(ToString::to_string))
        };
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "1"),
            ("RANK", "1"),
            ("WORLD_SIZE", "2"),
        ];
        assert_eq!(auto(&slurm), Ok(Shard { index: 2, count: 4 }));
        assert_eq!(auto(&slurm[3..]), Ok(Shard { index: 0, count: 1 }));
        assert_eq!(auto(&slurm[5..]), Ok(Shard { index: 1, count: 2 }));
        let kubernetes = [("JOB_COMPLETION_INDEX", "3"), ("LIFT_SHARDS", "8")];
        assert_eq!(auto(&kubernetes), Ok(Shard { index: 3, count: 8 }));
        assert!(auto(&kubernetes[..1]).unwrap_err().contains("LIFT_SHARDS is not set"));
        assert!(auto(&[]).unwrap_err().contains("--shard I/N"));
        assert!(auto(&[("RANK", "x"), ("WORLD_SIZE", "2")]).unwrap_err().contains("'x'"));
    }
}
