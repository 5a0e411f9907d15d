"""`RecurrentPPO` of sb3-contrib with `elman.torch.LSTM`: sequences that hold several episodes run in one call, by reset masks.

CartPole without velocities, which takes a memory. sb3-contrib steps through a sequence one step at a time as soon as an
episode begins within it; with a mask it is one call.

    pip install sb3-contrib && python examples/python/recurrent_ppo.py --steps 50000 --seeds 5 [--torch]
"""

import argparse
import time

import elman.torch
import gymnasium
import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.env_util import make_vec_env


class WithoutVelocities(gymnasium.ObservationWrapper):
    """Positions and angles alone."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        low, high = env.observation_space.low[[0, 2]], env.observation_space.high[[0, 2]]
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """`[4]` to `[2]`."""
        return observation[[0, 2]]


class ElmanPolicy(RecurrentActorCriticPolicy):
    """The policy with its recurrent layers on Elman's kernels, and its sequences in one call."""

    def __init__(self, *arguments, **named) -> None:
        super().__init__(*arguments, **named)
        elman.torch.replace(self)

    @staticmethod
    def _process_sequence(features, lstm_states, episode_starts, lstm):
        """Sequences `[B T, I]`, states `[L, B, H]` and whether an episode begins `[B T]` to outputs `[B T, H]` and states."""
        batch = lstm_states[0].shape[1]
        x = features.reshape(batch, -1, lstm.input_size).swapaxes(0, 1)
        reset = episode_starts.reshape(batch, -1).swapaxes(0, 1)
        y, states = lstm(x, lstm_states, reset=reset)
        return torch.flatten(y.transpose(0, 1), start_dim=0, end_dim=1), states


def main() -> None:
    """Prints the return and the frames per second for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--torch", action="store_true", help="as it comes, for comparison")
    args = parser.parse_args()
    policy = "MlpLstmPolicy" if args.torch else ElmanPolicy
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        envs = make_vec_env("CartPole-v1", n_envs=8, seed=seed, wrapper_class=WithoutVelocities)
        model = RecurrentPPO(
            policy, envs, seed=seed, n_steps=128, batch_size=256, n_epochs=10, learning_rate=1e-3, gamma=0.98,
            policy_kwargs={"lstm_hidden_size": 64, "enable_critic_lstm": True},
        )  # fmt: skip
        began = time.perf_counter()
        model.learn(args.steps)
        seconds = time.perf_counter() - began
        last = np.mean([episode["r"] for episode in model.ep_info_buffer])
        print(f"seed {seed}: return {last:.1f} of the last {len(model.ep_info_buffer)} episodes, "
              f"{model.num_timesteps / seconds:.0f} frames/s")  # fmt: skip


if __name__ == "__main__":
    main()
