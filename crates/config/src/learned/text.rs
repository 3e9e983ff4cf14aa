//! The profile as it is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bartizan_mcp::is_unseen;

use super::Run;
use super::give::Given;
use super::hosts::Hosts;
use crate::Allowed;

/// Of a name in a comment no more is shown: signs, not bytes.
const SHOWN: usize = 300;

pub(super) fn written(run: &Run, given: &Given, hosts: &Hosts) -> String {
    let mut out = String::new();
    head(run, &mut out);
    let name = &run.name;
    line(&mut out, &format!("[profile.{name}]"));
    if let Some(profile) = &run.profile {
        line(&mut out, &format!("profile = {}", quoted(profile)));
    }
    if !run.allowed.is_empty() {
        let words = |list: &mut dyn Iterator<Item = &Allowed>| list.map(|one| quoted(word(*one))).collect::<Vec<_>>();
        let is_anyway = |one: &&Allowed| run.allowed_anyway.contains(one);
        let all = words(&mut run.allowed.iter()).join(", ");
        let by = [
            ("by --allow", words(&mut run.allowed.iter().filter(|one| !is_anyway(one)))),
            ("by the profile that it began with", words(&mut run.allowed.iter().filter(is_anyway))),
        ];
        let by = by.iter().filter(|(_, list)| !list.is_empty()).map(|(by, list)| format!("{} {by}", list.join(", ")));
        let by: Vec<_> = by.collect();
        line(&mut out, &format!("allow = [{all}] # let through in that run: {}", by.join(", ")));
    }
    let lists = [("ro", &given.read_only), ("rw", &given.writable), ("hide", &given.hidden)];
    if lists.iter().any(|(_, list)| !list.is_empty()) {
        line(&mut out, &format!("\n[profile.{name}.fs]"));
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            paths(key, list, &mut out);
        }
    }
    if !hosts.given.is_empty() {
        line(&mut out, &format!("\n[profile.{name}.net]\nallow = ["));
        hosts.given.iter().for_each(|host| line(&mut out, &format!("    {},", quoted(host))));
        line(&mut out, "]");
    }
    limits(run, &mut out);
    refused(run, given, hosts, &mut out);
    out
}

fn head(run: &Run, out: &mut String) {
    let words: Vec<_> = run.command.iter().map(|word| shown(word)).collect();
    line(out, &format!("# What one run was seen to need of: {}", cut(&words.join(" "))));
    line(out, "# It says what that server did, also if it should not have. Read each line before you use it.");
    if run.only_lists {
        line(out, "# Only its lists were asked for: what its tools need when they are called was not seen.");
    }
    if run.lost {
        line(out, "# The watch ended before the server did, which was ended then: this is not all.");
    }
    if run.unread > 0 {
        line(out, &format!("# {} calls named something that could not be read: this is not all.", run.unread));
    }
    if run.left_out > 0 {
        line(out, &format!("# {} more things were named than are kept: this is not all.", run.left_out));
    }
}

fn paths(key: &str, list: &BTreeMap<PathBuf, String>, out: &mut String) {
    line(out, &format!("{key} = ["));
    for (path, why) in list {
        let Some(path) = path.to_str() else { continue };
        line(out, &format!("    {}, # {}", quoted(path), cut(&shown(why))));
    }
    line(out, "]");
}

/// Limits that the run came near to.
fn limits(run: &Run, out: &mut String) {
    let near = |(most, limit): (u64, u64)| limit > 0 && most.saturating_mul(2) > limit;
    let double = |most: u64| most.saturating_mul(2).checked_next_power_of_two().unwrap_or(u64::MAX);
    let mut lines = Vec::new();
    if near(run.memory) {
        let mib = double(run.memory.0) >> 20;
        lines.push(format!("memory = \"{mib}MiB\" # {} MiB were in use", run.memory.0 >> 20));
    }
    if near(run.pids) {
        lines.push(format!("pids = {} # there were {}", double(run.pids.0), run.pids.0));
    }
    if !lines.is_empty() {
        line(out, &format!("\n[profile.{}.limits]", run.name));
        lines.iter().for_each(|text| line(out, text));
    }
}

fn refused(run: &Run, given: &Given, hosts: &Hosts, out: &mut String) {
    let mut lines = Vec::new();
    for ((what, path), why) in &given.refused.lines {
        let words = match *what {
            "hidden" => "what no server is shown",
            "change" => "to change",
            "list" => "to list",
            "look" => "to see whether it is there",
            "unshown" => "what a sandbox does not have",
            "absent" => "to read, and it was not shown in that run",
            "special" => "no file or directory, but a socket, a pipe or a device",
            "unused" => "given, and not used",
            _ => "to read",
        };
        lines.push(format!("{words}: {} ({})", shown_path(path), shown(why)));
    }
    lines.extend(hosts.refused.iter().map(|(host, why)| format!("to reach: {} ({})", shown(host), shown(why))));
    lines.extend(run.others.iter().map(|other| format!("{} (by {})", shown(&other.what), shown(&other.by))));
    let more = given.refused.more.saturating_add(hosts.more);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    if !lines.is_empty() {
        line(out, "\n# Asked for and not given:");
        lines.iter().for_each(|text| line(out, &format!("# - {}", cut(text))));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a text does not fail.
    let _ = writeln!(out, "{text}");
}

fn word(allowed: Allowed) -> &'static str {
    match allowed {
        Allowed::UnixSockets => "unix_sockets",
        Allowed::NetlinkRoute => "netlink_route",
        Allowed::Namespaces => "namespaces",
    }
}

fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// A text that is on one line and all of it seen.
fn shown(text: &str) -> String {
    let mut out = String::new();
    for sign in text.chars() {
        if is_unseen(sign) { out.extend(sign.escape_unicode()) } else { out.push(sign) }
    }
    out
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

/// A text as a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' | '\\' => out.extend(['\\', sign]),
            sign if is_unseen(sign) => _ = write!(out, "\\U{:08X}", u32::from(sign)),
            sign => out.push(sign),
        }
    }
    out.push('"');
    out
}
