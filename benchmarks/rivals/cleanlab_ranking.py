"""What cleanlab says of labels and probabilities.

python cleanlab_ranking.py ARRAYS.npz ANSWER.npz

Of truth [N] and probabilities [N, K]: doubt [N], and how many labels are wrong.
"""

import sys

import numpy as np
from cleanlab.count import num_label_issues
from cleanlab.rank import get_label_quality_scores

arrays = np.load(sys.argv[1])
truth, probabilities = arrays["truth"], arrays["probabilities"]
margin = get_label_quality_scores(truth, probabilities, method="normalized_margin")
np.savez(
    sys.argv[2],
    doubt=1 - margin,
    wrong=num_label_issues(truth, probabilities, estimation_method="off_diagonal_calibrated"),
)
