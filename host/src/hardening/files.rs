//! Which files a process can reach at all, by Landlock.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// Files and folders by what may be done with them and with all beneath. What is not there is
/// left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ground {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    /// Where files may be removed and emptied, but not made.
    pub(crate) remove: Vec<PathBuf>,
    /// To be started as programs.
    pub(crate) execute: Vec<PathBuf>,
}

/// The newest rules that we know; older kernels keep those that they know.
const NEWEST: ABI = ABI::V6;

/// Below this a file can be emptied that cannot be written.
const OLDEST: ABI = ABI::V3;

/// How much of it the kernel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All that matters, by the rules of this version.
    Yes(u32),
    /// Some, by the rules of this old version.
    Partly(u32),
    No,
}

/// Gives every other file up for good: in this thread and in all that it will start.
pub(crate) fn give_up(ground: &Ground) -> Result<Kept, String> {
    restrict(ground).map_err(|e| e.to_string())
}

fn restrict(ground: &Ground) -> Result<Kept, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let remove = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::RemoveFile;
    let given: [(&[PathBuf], BitFlags<AccessFs>); 4] = [
        (&ground.read, read),
        (&ground.write, write),
        (&ground.remove, remove),
        (&ground.execute, AccessFs::ReadFile | AccessFs::Execute),
    ];
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (paths, access) in given {
        rules = rules.add_rules(path_beneath_rules(paths, access))?;
    }
    let status = rules.restrict_self()?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Ok(Kept::No);
    };
    let version = effective_abi as u32;
    Ok(match status.ruleset {
        RulesetStatus::NotEnforced => Kept::No,
        _ if effective_abi < OLDEST => Kept::Partly(version),
        _ => Kept::Yes(version),
    })
}
