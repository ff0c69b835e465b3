//! What kubectl asks of a plugin to complete its arguments: it calls `kubectl_complete-NAME` with the words so far, and takes a
//! candidate from each line, the last of which says how to go on.

use clap::Command;

/// The name that it is called by begins so.
pub const CALLED: &str = "kubectl_complete-";
/// Of kubectl's completion: no names of files.
const NO_FILES: &str = ":4";

/// The lines for these words, of which the last one is being typed.
pub fn lines(definition: &Command, words: &[String]) -> Vec<String> {
    let (typed, before) = words.split_last().map_or(("", words), |(typed, before)| (typed.as_str(), before));
    let subcommand = before.iter().find_map(|word| definition.find_subcommand(word));
    let candidates: Vec<_> = match subcommand {
        Some(subcommand) => {
            let flags = subcommand.get_arguments().filter_map(|flag| Some(format!("--{}", flag.get_long()?)));
            flags.filter(|_| typed.starts_with('-')).collect()
        }
        None => {
            let shown = definition.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
            shown.map(|subcommand| subcommand.get_name().to_owned()).collect()
        }
    };
    let fitting = candidates.into_iter().filter(|candidate| candidate.starts_with(typed));
    fitting.chain([NO_FILES.to_owned()]).collect()
}
