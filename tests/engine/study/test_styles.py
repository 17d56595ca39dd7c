"""Law: styles.csv is read as it is documented, or the file and the row that are wrong are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DatasetProblem
from engine.study.dataset import read_dataset
from engine.study.styles import style_shares
from engine.types import Style
from tests.engine.folders import make_folder

HEAD = b"id,tool,masks,agreement,licence,lesion_id,patient_id\n"


def styles(folder: Path, content: bytes) -> dict[str, Style | None]:
    root = make_folder(folder / "d", "abcd")
    (root / "styles.csv").write_bytes(content)
    return {sample.id: sample.style for sample in read_dataset(root).samples}


def test_each_image_has_the_style_of_its_row(tmp_path: Path) -> None:
    rows = b"a,T3,1,,CC-0,IL_1,\nb,several,4,0.9075,CC-0,,\nc,,0,,,,\nd,T1+,2,0.5,,,\n"
    assert styles(tmp_path, HEAD + rows) == {
        "a": Style("T3", 1),
        "b": Style("several", 4, 0.9075),
        "c": Style(None, 0),
        "d": Style("T1", 2, 0.5),
    }


def test_a_spreadsheets_table_is_read_and_other_images_are_passed_over(tmp_path: Path) -> None:
    table = b"Agreement;MASKS;Tool;id\r\n0,75;2;Several;a.jpg\r\n;1;t2;elsewhere\r\n"
    expected = {"a": Style("several", 2, 0.75), "b": None, "c": None, "d": None}
    assert styles(tmp_path, table) == expected


def test_without_the_file_no_image_has_a_style(tmp_path: Path) -> None:
    dataset = read_dataset(make_folder(tmp_path / "d", "ab"))
    assert [sample.style for sample in dataset.samples] == [None, None]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEAD + b"a,T3,1,\nb,T4,1,\n", ("unknown tool 'T4'", "row 3", "T1, T2, T3, several")),
        (HEAD + b"a,T3,,\n", ("no number of masks", "row 2")),
        (HEAD + b"a,T3,-1,\n", ("no number of masks", "'-1'")),
        (HEAD + b"a,T3," + b"9" * 5000 + b",\n", ("no number of masks", "row 2")),
        (HEAD + b"a,several,2,1.2\n", ("not from 0 to 1", "row 2", "'1.2'")),
        (HEAD + b"a,several,2,nan\n", ("not from 0 to 1", "'nan'")),
        (HEAD + b"a,several,2,much\n", ("not from 0 to 1", "'much'")),
        (HEAD + b"a,T1,1,0.9\n", ("fewer than 2 masks", "row 2")),
        (HEAD + b"a,T1,1,\nb,T1,1,\na,T2,1,\n", ("names a twice", "row 4")),
        (HEAD + b",T1,1,\n", ("no id", "row 2")),
        (b"id,tool,masks\na,T1,1\n", ("id, tool, masks and agreement", "id,tool,masks")),
        (b"", ("is empty",)),
        ("id,tool,masks,agreement\n".encode("utf-16"), ("UTF-16",)),
    ],
)
def test_what_is_wrong_is_said_with_its_row(
    content: bytes, told: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(DatasetProblem) as caught:
        styles(tmp_path, content)
    assert Path(caught.value.path).name == "styles.csv"
    for words in told:
        assert words in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_the_shares_of_the_tools_are_of_the_samples_whose_tool_is_known(tmp_path: Path) -> None:
    rows = b"a,T3,1,,CC-0,,\nb,several,4,0.9,CC-0,,\nc,,0,,,,\nd,T3,1,,,,\n"
    root = make_folder(tmp_path / "d", "abcd")
    assert style_shares(read_dataset(root).samples) == {}
    (root / "styles.csv").write_bytes(HEAD + rows)
    shares = style_shares(read_dataset(root).samples)
    assert list(shares) == ["T3", "several"]
    assert shares == {"T3": pytest.approx(2 / 3), "several": pytest.approx(1 / 3)}
