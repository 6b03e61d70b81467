from .card_report import NextStep as NextStep
from .card_report import write_card as write_card
from .evaluation_report import write_evaluation as write_evaluation
from .explore_report import write_exploration as write_exploration
from .mistakes import listed_beside as listed_beside
from .network_figure import draw_network as draw_network
from .shell import quoted as quoted
from .tuning_report import tuning_report as tuning_report
