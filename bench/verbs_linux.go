package main

import "github.com/spf13/cobra"

func verbs() []*cobra.Command {
	return []*cobra.Command{
		allCommand(),
		relayCommand(), trickleCommand(), bulkCommand(), idleCommand(), handshakesCommand(), failoverCommand(),
		drainCommand(), flapCommand(), reloadCommand(), shutdownCommand(), stormCommand(),
		tlsCommand(), sparesCommand(), slowCommand(), hellosCommand(), descriptorsCommand(), fanoutCommand(),
		loadCommand(), echoCommand(), floodCommand(), inboxCommand(),
	}
}
