"""Options: their groups, rules, presets and command line. Imports no TensorFlow."""

from kvae.config.all_options import option_names as option_names
from kvae.config.config import Config as Config
from kvae.config.config import as_config as as_config
from kvae.config.options import DataOptions as DataOptions
from kvae.config.options import EvaluationOptions as EvaluationOptions
from kvae.config.options import ModelOptions as ModelOptions
from kvae.config.options import RunOptions as RunOptions
from kvae.config.options import TrainingOptions as TrainingOptions
from kvae.config.rules import ConfigError as ConfigError
