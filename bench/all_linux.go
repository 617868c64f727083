package main

import "github.com/spf13/cobra"

func allCommand() *cobra.Command {
	return command("all", "All measurements in turn, about an hour",
		relayExperiment(), trickleExperiment(), bulkExperiment(), idleExperiment(), handshakesExperiment(), failoverExperiment(),
		drainExperiment(), flapExperiment(), reloadExperiment(), shutdownExperiment(), stormExperiment(),
		tlsExperiment(), sparesExperiment(), slowExperiment(), hellosExperiment(), descriptorsExperiment(), fanoutExperiment())
}
