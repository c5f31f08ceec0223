"""The asset graph: one thin file per asset, with its dependencies. The logic is in `sedi_dagster`.

    seed_pool ─► generated_batches ─► filtered_batches ─► sft_checkpoint ─► evaluation_scores ─► lineage_manifest
                                                     └─► seed_feedback ◄─┘          ▲                └─► round_report
                                                     └─► sft_dataset         baseline_scores

The feedback edge would be a cycle; it is the round plan instead (`sedi_dagster.feedback.plan`).
"""
