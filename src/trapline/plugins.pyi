from trapline.formats import Draft as Draft
from trapline.formats import Job as Job
from trapline.formats import ToolAnswers as ToolAnswers
from trapline.formats import Written as Written
from trapline.formats import answer_reader as answer_reader
from trapline.formats import reader as reader
from trapline.formats import writer as writer
from trapline.images import Preprocessing as Preprocessing
from trapline.metrics import Yielded as Yielded
from trapline.metrics import evaluator
from trapline.models import Backbone as Backbone
from trapline.models import Weights as Weights
from trapline.models import backbone as backbone
from trapline.recipes import DenseRecipe as DenseRecipe
from trapline.recipes import EpochTreeRecipe as EpochTreeRecipe
from trapline.recipes import HeadRecipe as HeadRecipe
from trapline.recipes import NetworkRecipe as NetworkRecipe
from trapline.recipes import Recipe as Recipe
from trapline.recipes import TreeRecipe as TreeRecipe
from trapline.recipes import register
from trapline.tables import read_table as read_table
from trapline.tables import reject_rows as reject_rows

metric = evaluator
recipe = register
