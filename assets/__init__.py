"""The asset graph: one thin file an asset. What an asset does is in `sedi_dagster`; here is only what it depends on.

    seed_pool ─► generated_batches ─► filtered_batches ─► sft_checkpoint ─► evaluation_scores ─► lineage_manifest
                                                     └─► seed_feedback ◄─┘          ▲                └─► round_report
                                                     └─► sft_dataset         baseline_scores

The feedback edge would be a cycle; it is the round plan (`sedi_dagster.feedback.plan`).
"""
