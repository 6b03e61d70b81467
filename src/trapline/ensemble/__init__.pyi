from .combining import CombinedTable as CombinedTable
from .combining import combine as combine
from .combining import combine_tables as combine_tables
from .combining import learn_combination as learn_combination
from .region import RegionalList as RegionalList
from .region import read_region as read_region
from .region import weigh_by_region as weigh_by_region
