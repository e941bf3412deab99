//! What processes use, as the kernel tells it under `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The kernel counts in these everywhere that we run.
const TICK_MS: u64 = 10;

/// A process and all that it started.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// What it is.
    pub(crate) name: String,
    /// The first of them.
    pub(crate) root: u32,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// In use now.
    pub(crate) resident: u64,
    /// The most that was.
    pub(crate) peak: u64,
}

/// Processor time of all processes of these trees.
pub(crate) fn processor_time(trees: &[Tree]) -> Duration {
    Duration::from_millis(members(trees).into_iter().filter_map(ticks).sum::<u64>() * TICK_MS)
}

/// Processor time of everything on the machine since it started, and of all its processors together if none had ever been idle.
pub(crate) fn machine_time() -> (Duration, Duration) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|it| it.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    // The fourth and the fifth: with nothing to do, and with nothing to do but to wait for a disk.
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let time = |ticks: u64| Duration::from_millis(ticks * TICK_MS);
    (time(all - idle), time(all))
}

/// Memory of all processes of these trees.
pub(crate) fn memory(trees: &[Tree]) -> Memory {
    members(trees).into_iter().filter_map(memory_of).fold(Memory::default(), |sum, it| Memory {
        resident: sum.resident + it.resident,
        peak: sum.peak + it.peak,
    })
}

fn members(trees: &[Tree]) -> Vec<u32> {
    let parents = parents();
    let is_member = |mut id: u32| loop {
        if trees.iter().any(|tree| tree.root == id) {
            return true;
        }
        match parents.get(&id) {
            Some(parent) if *parent > 1 => id = *parent,
            _ => return false,
        }
    };
    parents.keys().copied().filter(|id| is_member(*id)).collect()
}

/// The parent of every process.
fn parents() -> BTreeMap<u32, u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, parent(id)?))).collect()
}

/// The parent of a process.
pub(crate) fn parent(id: u32) -> Option<u32> {
    stat(id)?.get(1)?.parse().ok()
}

/// The other processes of that name with the same parent.
pub(crate) fn siblings(id: u32, name: &str) -> Vec<u32> {
    let parents = parents();
    let ours = parents.get(&id);
    let others = parents.iter().filter(|(other, parent)| **other != id && Some(*parent) == ours);
    others.map(|(other, _)| *other).filter(|other| is_called(*other, name)).collect()
}

/// Whether a process's program has that name.
pub(crate) fn is_called(id: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|it| it.trim() == name)
}

/// The fields after the program's name, beginning with the state.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// In user and in kernel mode, and that of children which have ended.
fn ticks(id: u32) -> Option<u64> {
    let fields = stat(id)?;
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

fn memory_of(id: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Memory { resident: kilobytes("VmRSS:")? * 1024, peak: kilobytes("VmHWM:")? * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_has_a_parent() {
        let us = Tree { name: "us".into(), root: std::process::id() };
        let memory = memory(std::slice::from_ref(&us));
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
        assert!(parent(us.root).is_some());
        let (busy, all) = machine_time();
        assert!(busy > Duration::ZERO && busy <= all);
        assert!(members(&[us]).contains(&std::process::id()));
    }
}
