"""Options: their groups, rules, presets and command line. Imports no TensorFlow."""

from kvae.config.options import Config as Config
from kvae.config.options import option_names as option_names
from kvae.config.rules import ConfigError as ConfigError
