"""The numbers of a run by name: their tags in TensorBoard, and the columns of metrics.csv."""

TAGS = {
    "total": "elbo/total",
    "log_px": "elbo/log_px",
    "log_qa": "elbo/log_qa",
    "state_space": "elbo/state_space",
    "exact": "elbo/exact",
    "sampled": "elbo/sampled",
    "learning_rate": "optimizer/learning_rate",
    "gradient_norm": "optimizer/gradient_norm",
    "encoder_variance": "encoder/variance",
    "seconds": "time/seconds",
    "smoothing": "imputation/smoothing",
    "filtering": "imputation/filtering",
    "generation": "imputation/generation",
    "sampling": "imputation/sampling",
    "explained": "motion/explained",
    "unseen": "motion/unseen",
    "alive": "codes/alive",
}
"""TensorBoard tag of every metric. The column in metrics.csv has `_` for `/`, after the split and another."""

SPLITS = ("train", "validation", "test")
"""Parts of the data that the numbers of an epoch are of; TensorBoard has a folder for each."""

_TRAIN = "total log_px log_qa state_space exact gradient_norm encoder_variance learning_rate seconds"
_TEST = (
    "total log_px log_qa state_space exact sampled encoder_variance smoothing filtering generation sampling "
    "explained unseen alive"
)
COLUMNS = [
    "epoch",
    "step",
    *(f"train_{TAGS[name].replace('/', '_')}" for name in _TRAIN.split()),
    f"validation_{TAGS['total'].replace('/', '_')}",
    *(f"test_{TAGS[name].replace('/', '_')}" for name in _TEST.split()),
]
