"""Where the parts meet: read, map, stage, deliver. Start at `cdc.flows.replicate`."""
