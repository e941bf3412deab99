//! The bare program: a gateway and a service with the product's hops, messages and kind of SQL, and nothing else: no token is checked,
//! nothing is validated, no key is remembered, nobody is told. It is the limit of this shape, which the product is measured against.

mod gateway;
mod service;
mod store;

use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

/// A gateway and a service that only do the work itself.
#[derive(Parser, Debug)]
#[command(name = "bare")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand, Debug)]
enum Role {
    /// JSON over HTTP in front of the service.
    Gateway {
        /// Where the service listens.
        #[arg(long)]
        service_url: String,
    },
    /// gRPC in front of the database.
    Service {
        /// Where its data is, as `schema.sql` has it.
        #[arg(long)]
        database_url: String,
        /// How many connections it keeps.
        #[arg(long, default_value_t = 8)]
        pool_size: u32,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        // Both have one port; whoever started it reads where that is.
        process::announce("bare", address, address)?;
        match cli.role {
            Role::Gateway { service_url } => gateway::serve(listener, service_url).await,
            Role::Service { database_url, pool_size } => {
                service::serve(listener, &database_url, pool_size).await
            }
        }
    })
}
