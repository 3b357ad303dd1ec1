"""What-if sliders over the payment model, as an analyst shares them. Run by ``streamlit run``."""

import streamlit as st

from tui.demo.servers.model import PaymentModel, train


@st.cache_resource
def payment_model() -> PaymentModel:
    return train()


st.title("Payment risk, what if")
amount = st.slider("Amount in euro", 1.0, 5000.0, 60.0)
hour = st.slider("Hour of the day", 0.0, 23.9, 12.0)
distance = st.slider("Distance from home in km", 0.0, 1000.0, 5.0)
age = st.slider("Age of the account in days", 0.0, 4000.0, 400.0)
scored = payment_model().score([amount, hour, distance, age])
st.metric("Decision", scored.decision)
st.bar_chart(scored.probabilities)
