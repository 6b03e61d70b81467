"""What competitions ask for: submission files, and packages of code with their trial (`code_execution`)."""

from trapline.competitions.submission import (
    Fill,
    Submission,
    SubmissionFormat,
    check_submission,
    read_format,
    write_submission,
)

__all__ = [
    "Fill",
    "Submission",
    "SubmissionFormat",
    "check_submission",
    "read_format",
    "write_submission",
]
