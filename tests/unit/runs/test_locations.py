"""The folders and names of new runs."""

from __future__ import annotations

import pytest

from tests.experiments import quadratic_engine, searching
from tunedsl.base.errors import StorageError
from tunedsl.runs import locations


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    """Also when a random name was taken: `fork` in a loop, or hundreds of jobs that start together."""
    names = iter(["aaaa", "aaaa", "aaaa", "bbbb", "aaaa", "bbbb", "cccc"])
    monkeypatch.setattr(locations.secrets, "token_hex", lambda size: next(names))
    monkeypatch.setattr(locations.time, "strftime", lambda form: "20260801-120000")
    folders = [locations.create_unique_folder(tmp_path, "mnist") for _ in range(3)]
    assert [folder.name for folder in folders] == [f"mnist-20260801-120000-{end}" for end in ("aaaa", "bbbb", "cccc")]


def test_a_file_in_the_place_of_the_store_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be created"):
        locations.create_unique_folder(tmp_path / "file", "mnist")


def test_names_at_an_address_where_nothing_reserves_them_are_longer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for store, digits in ("memory://names", 8), (tmp_path, 4):
        results = searching(store).run(engine=quadratic_engine(), quiet=True)
        assert len(str(results.path).rpartition("-")[2]) == digits
