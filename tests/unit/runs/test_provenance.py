"""The provenance of a run in its journal's header."""

from __future__ import annotations

import subprocess

from tunedsl.runs.provenance import _commit


def test_the_commit_and_whether_there_are_changes(tmp_path, monkeypatch):
    def git(*words: str) -> str:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *settings, *words], check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert _commit() is None, "no repository"
    git("init")
    assert _commit() is None, "no commit yet"
    git("commit", "--allow-empty", "-m", "begun")
    head = git("rev-parse", "HEAD")
    assert _commit() == {"commit": head, "dirty": False}
    (tmp_path / "train.py").touch()
    assert _commit() == {"commit": head, "dirty": True}
