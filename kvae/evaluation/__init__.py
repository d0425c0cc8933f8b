"""How good a trained model is: its bound, errors on hidden frames, and its pictures."""

from kvae.evaluation.bound import graph_of_bound as graph_of_bound
from kvae.evaluation.bound import test_bound as test_bound
from kvae.evaluation.imputation import CurvePoint as CurvePoint
from kvae.evaluation.imputation import ImputationError as ImputationError
from kvae.evaluation.imputation import careless_guess as careless_guess
from kvae.evaluation.imputation import imputation_errors as imputation_errors
from kvae.evaluation.imputation import masks_of_curve as masks_of_curve
from kvae.evaluation.imputation import planning_curve as planning_curve
from kvae.evaluation.imputation import random_curve as random_curve
