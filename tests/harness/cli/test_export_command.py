"""The command ``ladder export``: a report as tables."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from toys import SOURCE, Coin, report_of

from ladder import Rung, below
from ladder.cli import main

ROOT = Rung(number=1, name="coin", experiment=Coin(), gates=below("loss", 0.5, by=3, source=SOURCE))
BROKEN = replace(ROOT, number=2, name="unlucky, or not", experiment=Coin(p=0.0), parent="rung1", adds="p")


@pytest.fixture
def report(tmp_path):
    """The file of a report."""
    file = tmp_path / "ladder.json"
    file.write_text(json.dumps(report_of(ROOT, BROKEN)))
    return file


def read(file):
    """The rows of a file."""
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_curves(report, tmp_path, capsys):
    """The values of all curves, with rung, metric, seed and epoch, are those of the report."""
    file = tmp_path / "curves.csv"
    assert main(["export", str(report), "--to", str(file)]) == 0
    assert capsys.readouterr().out == f"wrote {file}: 96 rows\n"
    rows = read(file)
    written = {(row["rung"], row["metric"], int(row["seed"]), int(row["epoch"])): float(row["value"]) for row in rows}
    for entry in json.loads(report.read_text())["rungs"]:
        for seed, curve in enumerate(entry["curves"]["loss"]):
            assert [written[entry["id"], "loss", seed, epoch] for epoch in (1, 2, 3)] == curve


def test_rungs(report, tmp_path, capsys):
    """Each rung is a row, with its verdict and counts."""
    file = tmp_path / "rungs.csv"
    assert main(["export", str(report), "--what", "rungs", "--to", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "rows": 2}
    first, second = read(file)
    assert (first["rung"], first["verdict"], first["passed"], first["seeds"], first["adds"]) == (
        "rung1",
        "PASS",
        "16",
        "16",
        "",
    )
    assert (second["name"], second["verdict"], second["green"], second["adds"]) == (
        "unlucky, or not",
        "FAIL",
        "False",
        "p",
    )


def test_parquet(report, tmp_path):
    """A Parquet file has the same table, with types."""
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "curves.parquet"
    assert main(["export", str(report), "--to", str(file)]) == 0
    table = parquet.read_table(file)
    assert [str(column.type) for column in table.columns] == ["string", "string", "int64", "int64", "double"]
    loss = json.loads(report.read_text())["rungs"][0]["curves"]["loss"]
    np.testing.assert_array_equal(table["value"][:48], np.ravel(loss))


def test_parquet_without_pyarrow(report, tmp_path, capsys, monkeypatch):
    """The message without pyarrow says how to install it."""
    monkeypatch.setattr("ladder.cli.exporting.find_spec", lambda name: None)
    assert main(["export", str(report), "--to", str(tmp_path / "x.parquet")]) == 2
    assert "pip install pyarrow" in capsys.readouterr().err


def test_unknown_format(report, tmp_path, capsys):
    """A file of another kind is refused before anything is written."""
    assert main(["export", str(report), "--to", str(tmp_path / "x.xlsx")]) == 2
    assert "ends in .xlsx; choose a name that ends in .csv or .parquet" in capsys.readouterr().err
    assert not (tmp_path / "x.xlsx").exists()


def test_missing_folder(report, tmp_path, capsys):
    """A table that cannot be written is named, and not the report."""
    target = tmp_path / "missing" / "curves.csv"
    assert main(["export", str(report), "--to", str(target)]) == 2
    assert f"{target} cannot be written: " in capsys.readouterr().err
