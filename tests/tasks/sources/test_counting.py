"""Every record of a file is used or left out and told of; a reader that loses one stops the night."""

import random
from dataclasses import replace

import pytest

from expectations.errors import Failure
from tasks.sources import csv_files, parsed_files

TEXT = "user,item,time\n" + "".join(f"u{n},i{n},{1_500_000_000 + n}\n" for n in range(50))


@pytest.mark.parametrize("seed", range(5))
def test_used_and_left_out_are_all_records(seed, table_source, look):
    chance = random.Random(seed)
    kinds = ["u{n},i,1500000000\n", "u{n},i\n", "\n", 'u{n},"a\nb",1500000000\n', "u{n},i,never\n", ",i,1500000000\n"]
    lines = [chance.choice(kinds).format(n=n) for n in range(60)]
    scan = look(table_source("user,item,time\nu,i,1500000000\n" + "".join(lines), strict=False))
    used = sum(scan.rows.values())
    assert used == 1 + sum("1500000000" in line and not line.startswith(",") for line in lines)
    left_out = sum(int(note.split(": ")[2].split()[0]) for note in scan.notes if note.startswith("Left out"))
    assert used + left_out == 1 + sum(line != "\n" for line in lines)


def test_a_reader_that_loses_rows_is_found_out(table_source, look, monkeypatch):
    gathered = csv_files._gathered
    monkeypatch.setattr(csv_files, "_gathered", lambda reader: (rows.slice(1) for rows in gathered(reader)))
    with pytest.raises(Failure, match=r"log.csv: 49 rows were read and 0 left out, but there are 50 in the file"):
        look(table_source(TEXT))


def test_a_parser_that_loses_rows_is_found_out(table_source, look, monkeypatch):
    run_of = parsed_files.run_of

    def losing(*arguments):
        whole = run_of(*arguments)
        return replace(whole, rows=whole.rows[:7])

    monkeypatch.setattr(parsed_files, "run_of", losing)
    with pytest.raises(Failure, match=r"log.csv: 7 rows are used and 0 left out, but there are 50 in the file"):
        look(table_source(TEXT))
