from .submission import Fill as Fill
from .submission import Submission as Submission
from .submission import SubmissionFormat as SubmissionFormat
from .submission import check_submission as check_submission
from .submission import read_format as read_format
from .submission import write_submission as write_submission
