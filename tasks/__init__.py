"""Questions, prompts and scores; importing this imports neither torch nor datasets."""

from headspex.tasks.catalogue import TASKS as TASKS
from headspex.tasks.catalogue import load_task as load_task
from headspex.tasks.jsonl import jsonl as jsonl
from headspex.tasks.mini import mini as mini
from headspex.tasks.mmlu import SUBJECTS as SUBJECTS
from headspex.tasks.mmlu import mmlu as mmlu
from headspex.tasks.prompts import EncodedQuestion as EncodedQuestion
from headspex.tasks.prompts import encode as encode
from headspex.tasks.prompts import encode_task as encode_task
from headspex.tasks.prompts import encode_texts as encode_texts
from headspex.tasks.prompts import prompt as prompt
from headspex.tasks.questions import SPLITS as SPLITS
from headspex.tasks.questions import Question as Question
from headspex.tasks.questions import Task as Task
from headspex.tasks.questions import in_proportion as in_proportion
from headspex.tasks.questions import split as split
from headspex.tasks.scoring import METRICS as METRICS
from headspex.tasks.scoring import interval as interval
from headspex.tasks.scoring import mean_interval as mean_interval
from headspex.tasks.scoring import wilson as wilson
