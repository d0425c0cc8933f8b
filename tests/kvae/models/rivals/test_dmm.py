import numpy as np
import tensorflow as tf

from kvae.config import Config
from kvae.models.rivals import DeepMarkovModel
from tests.kvae.models.rivals import linear, sampling
from tests.kvae.models.rivals.sampling import layer, log_normal, log_pixels, relu, softplus


class ExactRecognition:
    """The posterior of a linear-Gaussian model, in place of networks."""

    def __init__(self, messages):
        self.messages = messages
        self.before_first = tf.constant(np.nan, shape=[2])

    def __call__(self, features, mask, controls):
        # The first state's mean and precision, and the others' share of the state before.
        num_steps = controls.shape[1]
        first = tf.one_hot(0, num_steps)[None, :, None] * tf.ones_like(controls)
        return tf.concat([self.messages, controls, first], axis=-1)

    def moments(self, before, ahead):
        message, control, is_first = (ahead[:, :2], ahead[:, 2:4]), ahead[:, 4:5], ahead[:, 5:] > 0
        of_others = linear.A * before + linear.B * control
        central = tf.where(is_first, tf.constant(linear.FIRST_MEAN, tf.float32), of_others)
        precisions = (tf.constant(1 / x, tf.float32) for x in (linear.FIRST_VARIANCE, linear.Q))
        return linear.posterior(central, tf.where(is_first, *precisions), message)


def linear_model():
    model = DeepMarkovModel(Config(model="dmm", **linear.OPTIONS))
    model.build((None, None, 2, 2))
    linear.set_decoder(model)
    transition = model.transition
    # The gate is shut, and the proposal nothing.
    for dense in (transition.gate, transition.proposal, transition.variance):
        dense.kernel.assign(tf.zeros_like(dense.kernel))
    transition.gate.bias.assign([-100.0] * 2)
    transition.linear.kernel.assign(np.concatenate([np.diag(linear.A), linear.B[None]]))
    transition.variance.bias.assign(np.log(np.expm1(linear.Q)))
    transition.first_mean.assign(linear.FIRST_MEAN)
    transition.first_log_variance.assign(np.log(linear.FIRST_VARIANCE))
    return model


def test_with_the_exact_posterior_the_bound_of_a_linear_model_is_its_likelihood():
    model, (images, mask, controls) = linear_model(), linear.data()
    for n in range(3):
        exact = linear.log_likelihood(images[n], mask[n], controls[n, :, 0])
        many = [np.repeat(array[n : n + 1], 2000, axis=0) for array in (images, mask, controls)]
        messages = linear.exact_messages(images[n : n + 1], mask[n : n + 1], controls[n : n + 1, :, 0])
        model.recognition = ExactRecognition(tf.repeat(messages, 2000, axis=0))
        bounds = [float(model.elbo(*many, seed=seed).total) * mask[n].sum() for seed in range(10)]
        error = np.std(bounds) / np.sqrt(10)
        assert error < 0.02
        assert abs(np.mean(bounds) - exact) < 4 * error + 1e-3


def test_any_other_posterior_falls_short_of_it():
    model, (images, mask, controls) = linear_model(), linear.data()
    exact = sum(linear.log_likelihood(*of_one) for of_one in zip(images, mask, controls[..., 0], strict=True))
    bounds = [model.elbo(images, mask, controls, seed=seed) for seed in range(20)]
    assert np.mean([bound.total * bound.num_observed for bound in bounds]) < exact - 1


def transition(model, states, controls):
    t = model.transition
    inputs = np.concatenate([states, np.broadcast_to(controls, states.shape)], axis=-1)
    gate = 1 / (1 + np.exp(-layer(t.gate, relu(layer(t.gate_hidden, inputs)))))
    proposal = layer(t.proposal, relu(layer(t.proposal_hidden, inputs)))
    mean = (1 - gate) * layer(t.linear, inputs) + gate * proposal
    return mean, softplus(layer(t.variance, relu(proposal)))


def log_weights(model, images, mask, controls, num_draws, is_posterior):
    """Return log p(x, z) - log q(z), with z from the posterior that the networks say, or from the prior."""
    rng = np.random.default_rng(int(is_posterior))
    r, t = model.recognition, model.transition
    features = model.features(images, model.seeds(0), mask)
    ahead = model.recognise(features * mask[..., None], tf.constant(mask), tf.constant(controls))[0].numpy()[
        0
    ]
    before, total = None, np.zeros(num_draws)
    for step in range(3):
        if before is None:
            of_prior = t.first_mean.numpy(), np.exp(t.first_log_variance.numpy())
            of_prior = tuple(np.broadcast_to(x, [num_draws, 2]) for x in of_prior)
            fed = np.broadcast_to(r.before_first.numpy(), [num_draws, 2])
        else:
            of_prior, fed = transition(model, before, controls[0, step]), before
        combined = (np.tanh(layer(r.state, fed)) + ahead[step]) / 2
        of_posterior = layer(r.mean, combined), softplus(layer(r.variance, combined))
        mean, variance = of_posterior if is_posterior else of_prior
        states = mean + np.sqrt(variance) * rng.normal(size=[num_draws, 2])
        total += log_normal(states, *of_prior) - log_normal(states, mean, variance)
        if mask[0, step]:
            total += log_pixels(model, states, images[0, step])
        before = states
    return total


def test_it_is_a_bound():
    model, (images, mask, controls) = (
        DeepMarkovModel(Config(model="dmm", **sampling.OPTIONS)),
        sampling.data(),
    )
    model.build((None, None, 3, 3))
    sampling.disturb(model, 0.15)
    # As wide as the prior at least, or a few draws would have nearly all of the weight.
    model.recognition.variance.bias.assign([0.7] * 2)
    of_both = [log_weights(model, images, mask, controls, 400_000, posterior) for posterior in (True, False)]
    many = [np.repeat(array, 2000, axis=0) for array in (images, mask, controls)]
    bounds = [float(model.elbo(*many, seed=seed).total) * 2 for seed in range(5)]
    sampling.check(model, bounds, *of_both)


def test_it_begins_as_one_that_stays_where_it_is():
    model = DeepMarkovModel(Config(model="dmm", dim_a=3, num_filters=(4,)))
    model.build((None, None, 8, 8))
    kernel = model.transition.linear.kernel.numpy()
    np.testing.assert_array_equal(kernel[:3], np.eye(3))
    assert kernel[3:].any()
