"""Tables as people write them: CSV from any spreadsheet, or one JSON object on each line."""

import csv
import json

from datasets_tfds import pictures

ENDINGS = (".csv", ".jsonl")
LISTED = 5  # mistakes in a message


def find(root, names):
    """The one table in a folder that has one of the names, or None.

    Args:
        root: Path of the folder.
        names: names without their endings.

    Raises:
        ValueError: there are several.
    """
    paths = [path for name in names for ending in ENDINGS if (path := root / (name + ending)).is_file()]
    if len(paths) > 1:
        raise ValueError(f"{root} holds {' and '.join(path.name for path in paths)}: keep one of them")
    return paths[0] if paths else None


def read(path, required):
    """(columns, rows) of a table; a row is (number, {column: text}), and the header of a CSV file is row 1.

    Column names lose their capitals and the blanks around them. Empty rows are left out.

    Args:
        path: a CSV file with commas, semicolons or tabs, or a file of JSON objects, one on each line.
        required: names of the columns that must be there.

    Raises:
        ValueError: not UTF-8, no table, a column missing or twice, rows of unequal length.
    """
    try:
        lines = pictures.read_lines(path)
    except ValueError as error:
        raise ValueError(f"{error}. Save it as UTF-8; spreadsheets call that 'CSV UTF-8'.") from error
    parsed = list(_json_rows(path, lines) if path.suffix == ".jsonl" else _csv_rows(path, lines))
    rows = [(number, row) for number, row in parsed if any(text.strip() for text in row.values())]
    if not rows:
        raise ValueError(f"{path} has no rows")
    for number, row in rows:
        for name in required:
            if name not in row:
                raise ValueError(f"{path}, row {number}: there is no {name!r}, only {', '.join(map(repr, row))}")
    return list(dict.fromkeys(name for _, row in rows for name in row)), rows


def convert(path, rows, function):
    """[function(number, row) of all rows]; what it returns as None is left out.

    Raises:
        ValueError: the function raised ValueError for some rows; tells how many and the first few.
    """
    made, mistakes = [], []
    for number, row in rows:
        try:
            made.append(function(number, row))
        except ValueError as error:
            mistakes.append(f"row {number}: {error}")
    if mistakes:
        more = f"; and {len(mistakes) - LISTED} more" if len(mistakes) > LISTED else ""
        raise ValueError(f"{path}, {'; '.join(mistakes[:LISTED])}{more}")
    return [one for one in made if one is not None]


def _csv_rows(path, lines):
    if not lines:
        return
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip().lower() for name in next(reader)]
        twice = next((name for name in columns if name and columns.count(name) > 1), None)
        if twice:
            raise ValueError(f"{path}: two columns have the name {twice!r}")
        for number, fields in enumerate(reader, 2):
            if fields and len(fields) != len(columns):
                raise ValueError(
                    f"{path}, row {number}: {len(fields)} fields under {len(columns)} columns. "
                    f"Put a text that holds {delimiter!r} between double quotes."
                )
            yield number, {name: text for name, text in zip(columns, fields, strict=False) if name}
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _json_rows(path, lines):
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, row {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: cut off or not JSON ({error})") from error
        if not isinstance(value, dict):
            raise ValueError(f"{where}: not an object but {line[:80]!r}")
        yield number, {name.strip().lower(): _text(part, f"{where}: {name!r}") for name, part in value.items()}


def _text(value, where):
    """A value of JSON as a spreadsheet's cell holds it."""
    if isinstance(value, list):
        return "|".join(_text(part, where) for part in value)
    if isinstance(value, dict | bool):
        raise ValueError(f"{where} must be a text, a number, or a list of them. Received: {value!r}.")
    return "" if value is None else str(value)
