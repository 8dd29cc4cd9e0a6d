"""Tables of names in Ray Tune, Optuna, Syne Tune, Hyperopt, scikit-learn, Keras Tuner and W&B, and the names here.

`suggestions` turns them into hints of error messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _by_name(table: Mapping[str, str]) -> dict[str, str]:
    """The inverse table: each foreign name, and what to write instead."""
    return {name: text for text, names in table.items() for name in names.split()}


def _by_function(table: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The inverse table for each function: each foreign argument name, and the name here."""
    found: dict[str, dict[str, str]] = {}
    for functions, arguments in table.items():
        for function in functions.split():
            found.setdefault(function, {}).update(_by_name(arguments))
    return found


CLAUSES: Final = _by_name(
    {
        ".run()": "fit optimize optimise tune execute start launch go main remote train partial_fit agent sweep "
        "run_search",
        ".run(quiet=True)": "verbose verbosity silent progress show_progress show_progress_bar progress_bar "
        "progress_reporter log_level logging_level disable_progress_bar show_progressbar",
        '.run(address="auto")': "ray_address ray_init_args cluster head_address",
        '.run(engine="inline")': "backend executor local_mode debug",
        ".resume()": "resume restore resume_from load_if_exists reuse_exist_study resume_errored resume_unfinished "
        "can_restore load_study from_checkpoint overwrite",
        ".samples(100)": "samples num_samples n_trials max_trials max_evals n_iter n_iterations n_evals num_trials "
        "n_samples num_evals trials max_num_trials max_num_trials_started max_num_trials_completed n_calls run_cap "
        "count total_trials n_iter_search executions_per_trial n_configs repeat",
        '.minimize("loss") or .maximize("accuracy")': "metric metrics mode direction directions objective "
        "objectives goal goals loss scoring score target criterion monitor eval_metric metric_name do_minimize "
        "larger_is_better study_direction",
        ".timeout(seconds=60) for each trial, .budget(seconds=3600) for all of them": "timeout timeout_s",
        '.order("logical")': "order deterministic reproducible",
        '.isolate("process")': "isolate isolation reuse_actors",
        '.minimize("loss")': "minimize minimise min minimization",
        '.maximize("accuracy")': "maximize maximise max maximization",
        '.subject_to(metric("latency_ms") <= 20)': "subject_to constraints_func outcome_constraints outcome_constraint "
        "feasible feasibility black_box_constraints safety_constraints",
        ".searcher(tpe())": "searcher search_alg sampler algo algorithm search_algorithm advisor oracle optimizer "
        "search_optimizer method tuner generator search strategy with_sampler surrogate acquisition base_estimator",
        ".searcher(try_first(tpe(), [{...}]))": "points_to_evaluate enqueue_trial enqueue initial_points x0 "
        "init_points add_configurations initial_configs probe starting_points",
        ".searcher(with_results(tpe(), [...]))": "evaluated_rewards add_trial add_trials tell y0 register",
        ".scheduler(asha(max_t=81))": "scheduler pruner early_terminate trial_scheduler with_pruner multi_fidelity "
        "should_prune should_stop hyperband successive_halving",
        ".stop(training_iteration=10)": "stop stopper stopping stopping_criterion stop_criterion stop_criteria "
        "max_iterations max_epochs epochs early_stopping early_stop max_t max_resource n_epochs num_epochs max_iter "
        "termination",
        ".budget(seconds=3600)": "budget time_budget_s time_budget time_limit time_limit_s max_wallclock_time "
        "max_time max_duration max_runtime wallclock wallclock_limit walltime duration deadline",
        ".parallel(4)": "parallel max_concurrent max_concurrent_trials n_jobs n_workers num_workers workers "
        "concurrency jobs parallelism n_parallel num_concurrent max_parallel pool_size processes batch_size",
        ".resources(cpu=1, gpu=1)": "resources resources_per_trial with_resources resource cpus_per_trial "
        "gpus_per_trial num_cpus num_gpus cpu gpu cpus gpus memory scaling_config instance_type",
        ".data(x=x)": "data with_parameters with_data fit_params args kwargs datasets dataset user_attrs set_user_attr",
        ".retry(3)": "retry max_failures failure_config retries num_retries max_retries max_errors catch "
        "error_score max_consecutive_failed_trials on_error",
        ".fail_fast()": "fail_fast raise_on_failed_trial fail_on_error",
        '.store("results")': "store storage storage_path local_dir output_dir directory project_dir experiment_path "
        "log_dir logdir results_dir save_dir folder path root_dir checkpoint_dir out_dir",
        '.named("digits")': "named name study_name experiment_name project_name run_name tuner_name title project "
        "exp_name with_name job_name",
        ".name_trials(f)": "name_trials trial_name_creator trial_dirname_creator trial_name_template trial_name_string",
        ".checkpoint(every=5, keep=2)": "checkpoint checkpoint_config keep_checkpoints_num checkpoint_freq "
        "checkpoint_at_end checkpoint_frequency num_to_keep checkpoints sync_config save_every",
        ".sinks(tensorboard())": "sinks callbacks callback loggers logger with_callbacks tracker trackers wandb mlflow",
        ".seed(1)": "seed random_state random_seed rng rstate set_seed numpy_random_seed sampler_seed key",
        ".space(lr=uniform(0, 1))": "space param_space config params parameters search_space hp hps hyperparameters "
        "space_config config_space pbounds param_distributions param_grid domain dimensions bounds param parameter "
        "add add_parameter add_hyperparameter add_hyperparameters search_spaces suggest suggest_float suggest_int "
        "suggest_categorical suggest_uniform suggest_loguniform suggest_discrete_uniform Float Int Choice Boolean "
        "Fixed uniform loguniform randint choice with_space distributions",
        ".trainable(train)": "trainable objective_fn fn func function target_fn entry_point run_or_experiment "
        "estimator model build_model hypermodel program trainer trainable_cls train_fn evaluate evaluate_fn call "
        "with_trainable script",
        '.where(ref("low") < ref("high"))': "where constraint constraints add_constraint forbidden "
        "add_forbidden_clause add_condition conditions parameter_constraints condition filter",
        ".log_to_file()": "log_to_file redirect_output capture_output log_file stdout",
        ".run().best": "best best_params best_value best_trial best_trials best_config best_result get_best_result "
        "get_best_config get_best_trial get_best_hyperparameters get_best_models best_estimator_ best_params_ "
        "best_score_ best_index_ fmin predict",
        ".run().dataframe()": "results results_ cv_results_ trials_dataframe get_dataframe get_trials get_results "
        "df dataframe to_dataframe result results_summary leaderboard history",
        ".check()": "validate verify lint is_valid",
        ".explain()": "describe summary search_space_summary info show print",
        ".preview(5)": "sample_config sample_configuration get_config get_next suggest_config next_config",
        ".dry_run()": "simulate simulation",
    }
)
"""Names on an experiment, and keyword arguments that are clauses here."""

PACKAGE: Final = _by_name(
    {
        'space(lr=uniform(0, 1)).trainable(train).minimize("loss").run()': "tune Tuner Study study create_study "
        "optimize fmin minimize maximize gp_minimize forest_minimize BayesianOptimization RandomizedSearchCV "
        "GridSearchCV BayesSearchCV HalvingRandomSearchCV sweep agent optuna_study Objective Trainer fit TuneConfig "
        "RunConfig",
        "uniform(0, 1)": "suggest_float suggest_uniform Float FloatDistribution Real UniformDistribution "
        "UniformFloatHyperparameter finrange interval hp Domain",
        "loguniform(1e-4, 1e-1)": "suggest_loguniform log_uniform LogUniform LogUniformDistribution log logfinrange "
        "reverseloguniform loguniform_values log_uniform_values",
        "randint(1, 10)": "suggest_int Int Integer IntDistribution UniformIntegerHyperparameter int_uniform "
        "uniformint int",
        "quniform(0, 1, q=0.1)": "suggest_discrete_uniform DiscreteUniformDistribution q_uniform",
        'choice(["a", "b"])': "suggest_categorical Categorical CategoricalDistribution categorical pchoice Boolean "
        "Choice CategoricalHyperparameter ordinal OrdinalHyperparameter",
        "grid([1, 2, 3])": "grid_search GridSampler GridSearch Grid ParameterGrid",
        "randn(0, 1)": "normal gaussian Normal",
        'ref("width") * 2': "Ref depends param",
        'space(name="constant")': "Constant Fixed",
        "space(...)": "ConfigSpace ConfigurationSpace SearchSpace param_space config_space Space Dict",
        "tpe()": "TPESampler TPE HyperOptSearch OptunaSearch TuneBOHB HyperOpt TreeParzenEstimator Hyperopt",
        "random_search()": "RandomSampler RandomSearch BasicVariantGenerator RandomSearcher ParameterSampler "
        "BasicVariantGeneration",
        "sobol()": "QMCSampler Sobol",
        "asha(max_t=81)": "ASHAScheduler ASHA AsyncHyperBandScheduler SuccessiveHalvingPruner "
        "AsynchronousSuccessiveHalving",
        "hyperband(max_t=81)": "HyperBandScheduler Hyperband HyperbandPruner HyperBandForBOHB HyperBand",
        "pbt(perturbation_interval=5)": "PopulationBasedTraining PBT PopulationBasedTrainingReplay",
        "fifo()": "FIFOScheduler NopPruner FIFO",
        "tunedsl.schedulers.median_stopping()": "MedianStoppingRule MedianPruner PercentilePruner MedianStopping",
        "tunedsl.schedulers.pb2(hyperparam_bounds={...})": "PB2",
        "tunedsl.schedulers.resource_changing(...)": "ResourceChangingScheduler",
        "tunedsl.searchers.cmaes()": "CmaEsSampler CMAES CMAESampler",
        "gp()": "GPSampler BayesianOptimizer GaussianProcess BayesianOptimizationOracle",
        "auto()": "AutoSampler",
        "tunedsl.searchers.botorch()": "BoTorchSampler",
        "tunedsl.searchers.optuna()": "NSGAIISampler NSGAIIISampler",
        "tunedsl.searchers.limit(tpe(), 4)": "ConcurrencyLimiter",
        "tunedsl.searchers.repeat(tpe(), 3)": "Repeater",
        'plateau("loss")': "TrialPlateauStopper ExperimentPlateauStopper EarlyStopping EarlyStoppingCallback "
        "no_progress_loss early_stop",
        "iteration(10)": "MaximumIterationStopper max_iterations",
        "elapsed(60)": "TimeoutStopper",
        'metric("loss") < 0.1': "Stopper FunctionStopper StoppingCriterion",
        "load(path)": "ExperimentAnalysis ResultGrid load_study load_experiment get_all_study_summaries Analysis "
        "restore",
        "report(loss=0.1)": "log Reporter",
        "trial().checkpoint": "get_checkpoint Checkpoint",
        "trial()": "get_context Trial get_trial_id get_trial_dir FrozenTrial",
        ".budget(seconds=3600), a clause of the experiment": "MaxTrialsCallback time_budget",
        ".resources(cpu=1, gpu=1), a clause of the experiment": "with_resources PlacementGroupFactory ScalingConfig",
        ".data(x=x), a clause of the experiment": "with_parameters",
        ".checkpoint(every=5, keep=2), a clause of the experiment": "CheckpointConfig",
        ".retry(3), a clause of the experiment": "FailureConfig TrialPruned",
    }
)
"""Names in this package, and objects of other tools that are passed to a clause."""

RESULTS: Final = _by_name(
    {
        ".best": "get_best_result get_best_trial best_estimator_ best_run",
        ".best.config": "best_params best_params_ best_hyperparameters get_best_config get_best_hyperparameters "
        "best_hyperparams argmin space_eval",
        '.best.metrics["loss"]': "best_value best_score best_score_ best_loss best_metric best_values",
        ".dataframe()": "trials_dataframe get_dataframe df to_df to_pandas to_dataframe to_frame cv_results_ "
        "get_all_configs leaderboard dataframes as_frame",
        ".curves": "trial_dataframes history get_metric_history learning_curves",
        ".errors": "failed failures num_errors num_failed",
        ".trials": "get_trials all_trials runs",
        ".report()": "summary results_summary get_html html",
        ".path": "experiment_path logdir local_dir folder",
    }
)
"""Names on the results of a run."""

TRIAL: Final = _by_name(
    {
        ".config": "params hyperparameters parameters values_dict args",
        '.metrics["loss"]': "value values score objective_value last_result loss result",
        ".curve": "intermediate_values metrics_dataframe history",
        ".number": "trial_id trial_number index",
        ".path": "logdir local_path local_dir folder",
        ".error": "exception traceback error_msg",
    }
)
"""Names on one trial of the results."""

ARGUMENTS: Final = _by_function(
    {
        "hyperband asha asha_promote pasha": {
            "max_t": "max_iter max_epochs epochs max_resource r_max R max_budget max_iterations max_resource_level",
            "reduction_factor": "eta rf factor",
            "time_attr": "resource_attr time_attribute resource max_resource_attr",
        },
        "asha asha_promote pasha": {
            "grace_period": "min_resource min_iter r_min min_t min_budget n_warmup_steps warmup",
        },
        "asha": {"brackets": "num_brackets n_brackets"},
        "median_stopping": {"grace_period": "n_warmup_steps warmup", "min_samples_required": "n_startup_trials"},
        "pbt pb2": {
            "perturbation_interval": "interval frequency",
            "quantile_fraction": "quantile population_fraction truncation",
            "burn_in_period": "burn_in warmup",
            "custom_explore_fn": "explore explore_fn",
        },
        "pbt": {"hyperparam_mutations": "mutations hyperparams hyperparam_bounds"},
        "pb2": {"hyperparam_bounds": "bounds hyperparam_mutations"},
        "tpe": {
            "n_startup_trials": "n_initial_points n_startup n_initial num_init_random n_startup_jobs num_init "
            "n_initial_random random_trials",
            "n_ei_candidates": "n_EI_candidates n_candidates num_candidates",
        },
        "gp": {
            "n_startup_trials": "n_initial_points n_startup n_initial num_init_random num_init n_initial_random "
            "random_trials",
            "n_candidates": "num_candidates raw_samples n_preliminary_samples n_points",
        },
        "limit": {"n": "max_concurrent max_concurrent_trials"},
        "repeat": {"n": "times repeats num_repeats"},
        "resources": {
            "cpu": "num_cpus cpus n_cpus cpus_per_trial CPU cores num_cores",
            "gpu": "num_gpus gpus n_gpus gpus_per_trial GPU devices accelerators",
            "memory": "mem ram",
            "custom": "resources",
        },
        "checkpoint": {
            "every": "frequency checkpoint_frequency freq interval checkpoint_freq save_every every_n",
            "keep": "num_to_keep keep_checkpoints_num max_to_keep keep_last save_total_limit keep_last_n",
            "at_end": "checkpoint_at_end save_last",
            "best": "checkpoint_score_attribute metric monitor score save_best",
        },
        "retry": {
            "n": "max_failures max_retries times attempts retries num_retries count",
            "max_consecutive": "in_a_row max_in_a_row consecutive",
            "backoff=backoff(initial=1)": "wait delay initial sleep wait_seconds",
            "backoff=backoff(factor=2)": "wait_growth factor multiplier exponential_base",
            "backoff=backoff(maximum=60)": "wait_most maximum max_wait max_delay",
        },
        "budget": {
            "seconds": "time_budget_s time_limit time timeout max_wallclock_time time_budget max_time duration",
            "trials": "num_samples n_trials max_trials max_num_trials_started samples max_num_trials_completed",
            "iterations": "max_iterations epochs total_epochs",
            "failures": "max_failures max_errors errors",
        },
        "timeout": {"seconds": "time time_limit time_budget_s time_limit_s limit"},
        "samples": {"n": "num_samples n_trials max_trials max_evals"},
        "parallel": {"n": "n_jobs max_concurrent max_concurrent_trials workers n_workers num_workers"},
        "minimize maximize": {"metric": "name objective monitor loss score"},
        "seed": {"n": "seed random_state"},
        "uniform quniform loguniform qloguniform randint qrandint lograndint qlograndint": {
            "low": "min lower lower_bound min_value minval minimum a",
            "high": "max upper upper_bound max_value maxval maximum b",
        },
        "randn qrandn": {"mean": "mu loc average center", "sd": "sigma std scale stddev stdev std_dev"},
        "choice": {"options": "values categories choices items list sequence categorical"},
        "grid": {"values": "options grid_search choices items"},
        "sample_from": {"f": "func function fn"},
        "TunedSearchCV": {
            "n_trials": "n_iter n_candidates num_samples max_evals n_calls max_iters samples",
            "space": "param_distributions param_grid search_spaces params search_space hyper_space",
            "searcher": "search_optimization sampler optimizer search_alg",
            "scheduler": "early_stopping pruner",
            "iterations": "max_iters_per_trial max_resources",
            "random_state": "seed",
            "estimator": "model",
        },
    }
)
"""For each function, foreign names of arguments, and the name here or the whole argument to write."""

LOG_WORDS: Final = frozenset(
    {"log", "log_scale", "is_log", "log_uniform", "sampling", "prior", "scaling", "distribution"}
)
"""Keyword arguments that select a log scale in other tools."""
