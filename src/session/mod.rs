//! The pipeline that ties sampler, classifier and profile. Invariant: the pipeline, and nothing else.
