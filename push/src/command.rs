//! Programs, run without a shell: an argument list, an environment that holds what it should and
//! nothing else, no standard input, a time limit for the whole process group, and only the end of
//! what they print.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::PushError;

/// Runs `argv` and gives the last 64 KiB of what it printed, on both outputs, in order. Beside
/// `environment` it sees PATH, HOME and LANG.
///
/// # Errors
/// [`PushError::Program`], [`PushError::TimedOut`], and [`PushError::Refused`] when it does not exit
/// with 0; `refused` says what that means.
pub(crate) async fn run(
    argv: &[String],
    environment: &[(String, String)],
    limit: Duration,
    refused: &str,
) -> Result<String, PushError> {
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| PushError::Declaration("the command is empty: name a program".into()))?;
    let cannot_run = |source| PushError::Program { program: program.clone(), source };
    let (child, pipe) = start(program, arguments, environment).map_err(cannot_run)?;
    let mut group = Group { id: child.id().and_then(|id| Pid::from_raw(id.cast_signed())) };
    let mut printed = Tail::default();
    let ended = wait(child, pipe, &mut printed, Instant::now() + limit).await;
    let output = printed.text();
    match ended.map_err(cannot_run)? {
        None => {
            group.end().await;
            Err(PushError::TimedOut { what: argv.join(" "), after: limit, output })
        }
        Some(status) => {
            // It is over; what it left running on purpose, a daemon say, is not ours to end.
            group.id = None;
            if status.success() {
                return Ok(output);
            }
            let what = format!("{refused} ({}: {status})", argv.join(" "));
            Err(PushError::Refused { what, output })
        }
    }
}

fn start(
    program: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> io::Result<(Child, Receiver)> {
    let (ours, theirs) = io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
        .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
        .env("LANG", "C.UTF-8")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        .process_group(0);
    let child = command.spawn()?;
    Ok((child, Receiver::from_owned_fd(ours.into())?))
}

/// Reads until the program has ended, or the time is over: then `None`.
async fn wait(
    mut child: Child,
    mut pipe: Receiver,
    printed: &mut Tail,
    until: Instant,
) -> io::Result<Option<ExitStatus>> {
    let status = {
        let read = async { while printed.read(&mut pipe).await {} };
        let both = async {
            // A program that ends without closing its output has left something running.
            tokio::select! {
                status = child.wait() => status,
                () = read => child.wait().await,
            }
        };
        match timeout_at(until, both).await {
            Ok(status) => status?,
            Err(_) => return Ok(None),
        }
    };
    // What is in the pipe already comes at once; a daemon that keeps it open is not waited for.
    let rest = async { while printed.read(&mut pipe).await {} };
    let _ = timeout(LAST_WORDS, rest).await;
    Ok(Some(status))
}

/// Ends a process group when dropped, so that a push that is given up leaves nothing running.
struct Group {
    id: Option<Pid>,
}

impl Group {
    /// Asks it to end, and a little later makes it.
    async fn end(&mut self) {
        if let Some(id) = self.id {
            let _ = kill_process_group(id, Signal::TERM);
            tokio::time::sleep(GRACE).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

/// The end of what a program printed.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Reads a piece; false at the end.
    async fn read(&mut self, pipe: &mut Receiver) -> bool {
        let read = pipe.read_buf(&mut self.bytes).await.unwrap_or(0);
        if self.bytes.len() > 2 * MAX_OUTPUT {
            self.bytes.drain(..self.bytes.len() - MAX_OUTPUT);
        }
        read > 0
    }

    fn text(&self) -> String {
        let from = self.bytes.len().saturating_sub(MAX_OUTPUT);
        without_keys(String::from_utf8_lossy(&self.bytes[from..]).trim_end())
    }
}

/// Blacks out private keys in PEM: a hook that runs with `set -x` prints them.
pub(crate) fn without_keys(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut hidden = false;
    for line in text.lines() {
        if line.contains("PRIVATE KEY-----") {
            let begins = line.contains("-----BEGIN");
            if !begins && !hidden {
                // The beginning was cut off, so all until here may be key.
                clean.clear();
            }
            if begins || !hidden {
                clean.push_str("[a private key was printed here]\n");
            }
            hidden = begins && !line.contains("-----END");
        } else if !hidden {
            clean.push_str(line);
            clean.push('\n');
        }
    }
    clean.truncate(clean.trim_end().len());
    clean
}

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const MAX_OUTPUT: usize = 64 * 1024;
const LAST_WORDS: Duration = Duration::from_millis(200);
const GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn both_outputs_are_kept_in_order_and_only_their_end() {
        let script = sh("echo one; echo two >&2; echo three");
        let output = run(&script, &[], LIMIT, "").await.expect("it exits with 0");
        assert_eq!(output, "one\ntwo\nthree");
        let script = sh("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end");
        let output = run(&script, &[], LIMIT, "").await.expect("it exits with 0");
        assert!(output.len() <= MAX_OUTPUT && output.ends_with("x\nend"), "{}", output.len());
    }

    #[tokio::test]
    async fn the_environment_is_what_is_given_and_little_else() {
        let given = [("RENEWED_DOMAINS".to_owned(), "a b; $(false)".to_owned())];
        let output = run(&sh("env"), &given, LIMIT, "").await.expect("it exits with 0");
        assert!(output.contains("RENEWED_DOMAINS=a b; $(false)"), "{output}");
        assert!(!output.contains("CARGO"), "{output}");
    }

    #[tokio::test]
    async fn a_program_that_fails_or_is_not_there_says_so() {
        let error = run(&sh("echo no such card; exit 3"), &[], LIMIT, "the hook failed")
            .await
            .expect_err("it exits with 3");
        let text = error.to_string();
        assert!(text.contains("the hook failed") && text.contains("no such card"), "{text}");
        let error = run(&["/nonexistent".to_owned()], &[], LIMIT, "").await.expect_err("missing");
        assert!(matches!(error, PushError::Program { .. }), "{error}");
    }

    #[tokio::test]
    async fn the_time_limit_ends_the_children_too() {
        let mark = format!("3{}.25", std::process::id());
        let script = sh(&format!("echo begun; trap '' TERM; sleep {mark} & sleep {mark}"));
        let limit = Duration::from_millis(300);
        let error = run(&script, &[], limit, "").await.expect_err("it takes too long");
        assert!(error.to_string().contains("begun"), "{error}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let left = std::process::Command::new("pgrep").args(["-f", &mark]).output().expect("pgrep");
        assert!(left.stdout.is_empty(), "still running: {:?}", left.stdout);
    }

    #[tokio::test]
    async fn a_daemon_left_running_on_purpose_is_not_waited_for() {
        let begun = Instant::now();
        let script = sh("sleep 4 & echo started");
        assert_eq!(run(&script, &[], LIMIT, "").await.expect("it exits with 0"), "started");
        assert!(begun.elapsed() < Duration::from_secs(3), "it was waited for");
    }

    #[test]
    fn private_keys_are_blacked_out_even_if_cut() {
        let key = "x\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\ny";
        assert_eq!(without_keys(key), "x\n[a private key was printed here]\ny");
        let cut = "MHcC\n-----END PRIVATE KEY-----\ny";
        assert_eq!(without_keys(cut), "[a private key was printed here]\ny");
    }
}
