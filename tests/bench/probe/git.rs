//! `git verify-commit` over commits signed by an Ed25519 key, as others verify a history.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const COMMITS: usize = 32;

/// A repository of signed commits.
pub struct Git {
    dir: TempDir,
    commits: Vec<String>,
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    Err(format!("{program} {}: {}", arguments[0], String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or("failed")))
}

impl Git {
    /// Makes a key and signed commits; the reason when this machine cannot.
    pub fn make() -> Result<Git, String> {
        let dir = TempDir::new().unwrap();
        let at = dir.path();
        run(at, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", "key"])?;
        let public = std::fs::read_to_string(at.join("key.pub")).map_err(|error| error.to_string())?;
        std::fs::write(at.join("allowed"), format!("bench@example {public}")).map_err(|error| error.to_string())?;
        run(at, "git", &["init", "-q", "."])?;
        let (key, allowed) = (at.join("key.pub"), at.join("allowed"));
        let settings = [
            ("user.name", "bench"),
            ("user.email", "bench@example"),
            ("gpg.format", "ssh"),
            ("user.signingkey", key.to_str().unwrap()),
            ("gpg.ssh.allowedSignersFile", allowed.to_str().unwrap()),
        ];
        for (name, value) in settings {
            run(at, "git", &["config", name, value])?;
        }
        for number in 0..COMMITS {
            run(at, "git", &["commit", "-q", "-S", "--allow-empty", "-m", &format!("{number} {}", "x".repeat(280))])?;
        }
        let commits: Vec<String> = run(at, "git", &["rev-list", "HEAD"])?.lines().map(str::to_owned).collect();
        let git = Git { dir, commits };
        git.try_verify()?;
        Ok(git)
    }

    pub fn commits(&self) -> u64 {
        self.commits.len() as u64
    }

    fn try_verify(&self) -> Result<(), String> {
        let arguments: Vec<&str> = ["verify-commit"].into_iter().chain(self.commits.iter().map(String::as_str)).collect();
        run(self.dir.path(), "git", &arguments).map(drop)
    }

    /// Verifies all of them in one call.
    pub fn verify(&self) {
        self.try_verify().unwrap();
    }
}
