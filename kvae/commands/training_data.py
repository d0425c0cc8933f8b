"""What the main job learns from and tests on, and what follows from it for a new run's options."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvae import errors
from kvae.config import Config, ConfigError
from kvae.config.datasets import environment_options, is_environment
from kvae.config.size import for_pixels, for_sequences, in_words
from kvae.data import identity

if TYPE_CHECKING:
    from kvae.data.dataset import Dataset
    from kvae.data.shards import Shards


def load(
    config: Config, train_file: Path, test_file: Path, known: identity.Identity | None
) -> "tuple[Dataset | Shards | None, Dataset | None, Dataset]":
    """Return training data, None where there is nothing to train, those held out of them, and test data."""
    from kvae.data import controls, dataset, shards, validation
    from kvae.training.stages import describe, in_channels

    # Where the model learns its own, those of the data are not looked at.
    use_controls = config.use_controls and not config.learn_u
    if config.reload_model:
        classes = identity.classes_of(known)
        if classes is None and use_controls:
            classes = dataset.read_classes(train_file)
        test_data = in_channels(config, dataset.load(test_file, use_controls, classes), test_file)
        return None, None, test_data
    read = shards.Shards if train_file.is_dir() else dataset.load
    train_data = in_channels(config, read(train_file, use_controls), train_file)
    test_data = in_channels(config, dataset.load(test_file, use_controls, train_data.classes), test_file)
    if train_data.classes:
        print(f"{train_file}: {controls.in_words(train_data.classes)}")
    train_data, held_out = validation.split(train_data, config.validation_split)
    print(
        f"Learning from {train_file}: {describe(train_data)}; "
        + (f"choosing the model by {held_out.shape[0]:,} more; " if held_out else "")
        + f"testing on {describe(test_data)}"
    )
    return train_data, held_out, test_data


def of_size(
    config: Config,
    train_data: "Dataset | Shards",
    validation: "Dataset | None",
    given: Collection[str] | None,
) -> Config:
    """Return the options of a new run with what follows from its data; tell what is news."""
    if given is None:
        return config
    from kvae.data.dataset import Dataset

    count = train_data.shape[0] + (validation.shape[0] if validation else 0)
    found = for_sequences(config, count, train_data.shape[1], given)
    # One's own videos are never shards.
    found = for_pixels(found, isinstance(train_data, Dataset) and train_data.is_two_valued, given)
    for line in in_words(config, found, count):
        print(line)
    return found


def simulated(config: Config, recipe: dict[str, Any] | None, is_named_by_user: bool) -> tuple[Path, Path]:
    """Return the files of a world, simulated first where they are not there; see `data_files.Simulate`."""
    from kvae.simulation import dataset
    from kvae.simulation.worlds.registry import modules_named, trust

    if recipe is not None:
        try:
            return dataset.generate(data_dir=config.data_dir, **recipe)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"The run's data cannot be simulated anew: {errors.in_words(error)}") from error
    asked, num_steps = environment_options(config) if is_environment(config.dataset) else ({}, None)
    try:
        if is_named_by_user:
            # A run folder may be anybody's.
            trust(*modules_named(config.dataset, asked))
        return dataset.ensure(
            config.dataset, config.data_dir, quiet=config.quiet, options=asked, num_steps=num_steps
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"No data for --dataset {config.dataset}: {errors.in_words(error)}") from error
