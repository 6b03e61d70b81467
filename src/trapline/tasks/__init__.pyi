from .running import Standing as Standing
from .running import TasksFailedError as TasksFailedError
from .running import check_engine as check_engine
from .running import cores_each as cores_each
from .running import run_tasks as run_tasks
from .task import Task as Task
