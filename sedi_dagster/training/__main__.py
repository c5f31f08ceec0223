from sedi_dagster.training.job import describe
from sedi_dagster.training.sft import train
from sedi_dagster.workload import run_workload

run_workload("Fine-tune the student on a round's composed training batches.", train, describe())
