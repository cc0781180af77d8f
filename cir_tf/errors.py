"""Mistakes a user can make, told in one line."""

import sys


class UserError(Exception):
    """Something the user can put right. Commands print its message as one line and exit with 2."""


def first_of(names, limit=3):
    """The first few names, for such a line: "a, b, c and 4 more"."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def run_command(main, argv=None):
    """Call `main(argv)`; turn a `UserError`, or a file that cannot be read or written, into one line and exit code 2.

    Args:
        main: a function of the list of arguments (without the program's name).
        argv: the arguments; None takes them from the command line.
    """
    try:
        sys.exit(main(sys.argv[1:] if argv is None else argv))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
