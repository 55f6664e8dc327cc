# SPDX-License-Identifier: Apache-2.0
"""Everything that the parameters name: the robot, the contract and the policy."""

from collections.abc import Callable
from dataclasses import dataclass

from vla_contract.contract import OWN, STOP_AND_GO, Contract, ContractError, load_contract
from vla_contract.robot import Robot, load_robot
from vla_policies import Policy, PolicyError, PolicySpec, load_policy
from vla_policy_node.core.chunk_executor import ChunkExecutor
from vla_policy_node.core.inference import Asker
from vla_policy_node.core.policy_runner import PolicyRunner
from vla_policy_node.core.training_check import check_training
from vla_policy_node.params import PolicyNodeParameters, parse_options


@dataclass(frozen=True)
class LoadedPolicy:
    """What was loaded, and fits together.

    Attributes:
        robot: The robot.
        contract: Narrowed to the features that the policy needs.
        policy: The policy. Whoever loads it must close it.
        timeout_ns: After this long a call of the policy does not return any more.
        warm_up_ns: The same of its first call.
        remarks: What its user should know, a line each.
    """

    robot: Robot
    contract: Contract
    policy: Policy
    timeout_ns: int
    warm_up_ns: int
    remarks: tuple[str, ...] = ()


def assemble(
    loaded: LoadedPolicy,
    inference: Asker,
    parameters: PolicyNodeParameters,
    stopwatch_ns: Callable[[], int],
    motion_ns: Callable[[], int],
    lease_base: int,
) -> tuple[ChunkExecutor, PolicyRunner]:
    """Return what carries chunks out, and the policy as a source of them.

    Args:
        loaded: Robot, contract and policy.
        inference: Asks the policy.
        parameters: The node's.
        stopwatch_ns: See `ChunkExecutor`.
        motion_ns: Likewise.
        lease_base: Likewise.
    """
    robot, contract, spec = loaded.robot, loaded.contract, loaded.policy.spec
    executor = ChunkExecutor(
        robot, contract.action_joints, parameters, stopwatch_ns, motion_ns, lease_base
    )
    runner = PolicyRunner(executor, robot, contract, spec, inference, parameters, loaded.remarks)
    return executor, runner


# A process of its own is given up first, by whoever watches it.
GRACE_S = 1.0


def check_length(contract: Contract, spec: PolicySpec, parameters: PolicyNodeParameters) -> None:
    """Refuse chunks that are over before the arm could follow them, however fast the answer.

    Raises:
        ContractError: They are, and the contract does not say what to do.
    """
    lead_s = parameters.overlap_s + parameters.planning_margin_s
    lasts_s = (spec.chunk_size - 1) * spec.dt_s
    if contract.execution == STOP_AND_GO or lasts_s > lead_s:
        return
    raise contract.error(
        "policy.execution",
        f"a chunk of {spec.policy_id} lasts {lasts_s:.2f} s ({spec.chunk_size} rows, "
        f"{spec.dt_s:.3g} s apart) and the arm follows it {lead_s:.2f} s after its observation at "
        "the earliest (overlap_s + planning_margin_s), so it would never move; write "
        f"execution: {STOP_AND_GO} under policy, or let the policy return more rows",
    )


def load(parameters: PolicyNodeParameters) -> LoadedPolicy:
    """Load the robot, the contract and the policy.

    Raises:
        RobotConfigError: The robot file cannot be used.
        ContractError: The contract cannot be used with this robot and this policy, or the policy
            cannot be loaded.
    """
    robot = load_robot(parameters.robot_file)
    joints = robot.limits.joint_names
    contract = load_contract(parameters.contract_file, joints, robot.gripper.joint)
    options = parse_options(parameters.policy_options)
    name = parameters.policy or contract.policy_name
    if name == contract.policy_name:
        options = {**contract.policy_options, **options}
    timeout_s, grace_s = parameters.inference_timeout_s, 0.0
    try:
        if parameters.policy_python or contract.policy_process == OWN:
            # Here, because no other policy needs what it needs.
            from vla_policies.own_process import Launch, OwnProcessPolicy

            python = parameters.policy_python or contract.policy_python
            launch = Launch(
                name,
                options,
                python,
                contract.policy_environment,
                warm_up_timeout_s=parameters.warm_up_timeout_s,
            )
            policy: Policy = OwnProcessPolicy(launch, timeout_s)
            grace_s = GRACE_S
        else:
            policy = load_policy(name, options)
    except (PolicyError, ImportError) as error:
        in_contract = f"{parameters.contract_file}: policy.name"
        at = "parameter policy" if parameters.policy else in_contract
        raise ContractError(f"{at}: {error}") from error
    try:
        contract = contract.narrowed_to(policy.spec)
        check_length(contract, policy.spec, parameters)
        doubts = check_training(contract, policy.spec, robot)
        return LoadedPolicy(
            robot,
            contract,
            policy,
            round((timeout_s + grace_s) * 1e9),
            round((parameters.warm_up_timeout_s + grace_s) * 1e9),
            (*doubts, *policy.spec.notes),
        )
    except ContractError:
        policy.close()
        raise
